//! Units that compete: how many of them went, the highest of these and the lowest of those that stayed.

use crate::Ties;

/// What became of a weight or a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its bits changed to +0.0.
    Gone,
    /// It kept its bits.
    Kept,
    /// It was +0.0 before and is now, so that no one can tell; or it is neither.
    Unknown,
}

/// The order of scores, as a number; and where the unit lies, which decides between equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub rank: u64,
    pub unit: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pool {
    pub gone: u64,
    pub zero: u64,
    /// Those of the zeros that score 0, before which nothing of a higher score may go.
    zero_lowest: u64,
    /// The highest that went, and how many as high went.
    pub highest: Option<At>,
    at_highest: u64,
    /// The lowest that stayed, and how many as low stayed.
    pub lowest: Option<At>,
    at_lowest: u64,
    /// Units that have come.
    pub seen: u64,
}

/// How many were to go, and how ranks compare.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub go: u64,
    pub ties: Ties,
    pub order: Order,
}

/// What ranks say about which of two units goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Everything.
    Exact,
    /// All but for what the rounding of sums may hide: whoever compares them must allow for it.
    Rounded,
    /// Nothing: scores are not known.
    Unknown,
}

/// What is wrong with a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Another number went than was asked.
    Count,
    /// The highest that went is above the lowest that stayed, or equal and behind it.
    Order,
}

impl Pool {
    pub fn take(&mut self, at: At, fate: Fate) {
        self.seen += 1;
        match fate {
            Fate::Unknown => {
                self.zero += 1;
                self.zero_lowest += u64::from(at.rank == 0);
            }
            Fate::Gone => {
                self.gone += 1;
                match self.highest.map(|highest| at.rank.cmp(&highest.rank)) {
                    Some(std::cmp::Ordering::Less) => {}
                    Some(std::cmp::Ordering::Equal) => {
                        self.at_highest += 1;
                        self.highest = self.highest.max(Some(at));
                    }
                    _ => (self.highest, self.at_highest) = (Some(at), 1),
                }
            }
            Fate::Kept => match self.lowest.map(|lowest| at.rank.cmp(&lowest.rank)) {
                Some(std::cmp::Ordering::Greater) => {}
                Some(std::cmp::Ordering::Equal) => {
                    self.at_lowest += 1;
                    self.lowest = self.lowest.min(Some(at));
                }
                _ => (self.lowest, self.at_lowest) = (Some(at), 1),
            },
        }
    }

    /// Adds a pool of other units, whose ranks and places are changed by `place`.
    pub fn add(&mut self, other: &Pool, place: impl Fn(At) -> At) {
        let (seen, gone, zero) = (self.seen + other.seen, self.gone + other.gone, self.zero + other.zero);
        self.zero_lowest += other.zero_lowest;
        // The numbers of equal ones are not followed: over several tensors, exactly so many go.
        for (at, fate) in [(other.highest, Fate::Gone), (other.lowest, Fate::Kept)] {
            at.into_iter().for_each(|at| self.take(place(at), fate));
        }
        (self.seen, self.gone, self.zero) = (seen, gone, zero);
    }

    /// What is wrong, if anything is. `above(a, b)`: whether score `a` is surely above score `b`, where sums are rounded.
    pub fn verdict(&self, asked: Asked, above: impl Fn(u64, u64) -> bool) -> Option<Wrong> {
        let Asked { go, ties, order } = asked;
        let lowest_first = order != Order::Unknown && self.highest.is_some_and(|highest| highest.rank > 0);
        let (least, most) = (self.gone + if lowest_first { self.zero_lowest } else { 0 }, self.gone + self.zero);
        let exact = order == Order::Exact;
        let count = match ties {
            Ties::Exact => least <= go && go <= most,
            // The first that stays is the next in order: with those that are equal to it, more than `go`.
            Ties::Stay => least <= go && (!exact || self.lowest.is_none() || most + self.at_lowest > go),
            // The last that goes is the one in order: without those that are equal to it, fewer than `go`.
            Ties::Go => most >= go && (!exact || self.gone == 0 || least - self.at_highest < go),
        };
        if !count {
            return Some(Wrong::Count);
        }
        let (highest, lowest) = (self.highest?, self.lowest?);
        let wrong = match (order, ties) {
            (Order::Unknown, _) => false,
            (Order::Rounded, _) => above(highest.rank, lowest.rank),
            (Order::Exact, Ties::Exact) => highest > lowest,
            (Order::Exact, _) => highest.rank >= lowest.rank,
        };
        wrong.then_some(Wrong::Order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranks, and whether each goes: 1 goes, 0 stays, 2 was zero.
    fn verdict(units: &[(u64, u8)], go: u64, ties: Ties) -> Option<Wrong> {
        let mut pool = Pool::default();
        for (unit, (rank, fate)) in units.iter().enumerate() {
            let fate = [Fate::Kept, Fate::Gone, Fate::Unknown][usize::from(*fate)];
            pool.take(At { rank: *rank, unit: unit as u64 }, fate);
        }
        pool.verdict(Asked { go, ties, order: Order::Exact }, |_, _| unreachable!())
    }

    #[test]
    fn exactly_so_many_go_the_first_of_equal_ones_first() {
        assert_eq!(verdict(&[(1, 1), (2, 0), (3, 0)], 1, Ties::Exact), None);
        assert_eq!(verdict(&[(1, 1), (2, 0), (3, 0)], 2, Ties::Exact), Some(Wrong::Count));
        assert_eq!(verdict(&[(1, 1), (2, 1), (3, 0)], 1, Ties::Exact), Some(Wrong::Count));
        assert_eq!(verdict(&[(1, 0), (2, 1), (3, 0)], 1, Ties::Exact), Some(Wrong::Order));
        assert_eq!(verdict(&[(1, 1), (1, 0)], 1, Ties::Exact), None);
        assert_eq!(verdict(&[(1, 0), (1, 1)], 1, Ties::Exact), Some(Wrong::Order));
        // Of zeros no one can tell, unless something above them went.
        assert_eq!(verdict(&[(0, 2), (0, 2), (0, 1), (3, 0)], 2, Ties::Exact), None);
        assert_eq!(verdict(&[(0, 2), (0, 2), (3, 1)], 4, Ties::Exact), Some(Wrong::Count));
        assert_eq!(verdict(&[(0, 2), (0, 2), (3, 1)], 2, Ties::Exact), Some(Wrong::Count));
        assert_eq!(verdict(&[(5, 2), (5, 2), (3, 1)], 2, Ties::Exact), None);
    }

    #[test]
    fn ties_that_stay_or_go_do_so_together() {
        assert_eq!(verdict(&[(1, 1), (2, 0), (2, 0), (3, 0)], 2, Ties::Stay), None);
        assert_eq!(verdict(&[(1, 1), (2, 1), (2, 0), (3, 0)], 2, Ties::Stay), Some(Wrong::Order));
        assert_eq!(verdict(&[(1, 0), (2, 0), (2, 0), (3, 0)], 2, Ties::Stay), Some(Wrong::Count));
        assert_eq!(verdict(&[(1, 1), (2, 1), (2, 1), (3, 0)], 2, Ties::Go), None);
        assert_eq!(verdict(&[(1, 1), (2, 0), (2, 0), (3, 0)], 2, Ties::Go), Some(Wrong::Count));
        assert_eq!(verdict(&[(1, 1), (2, 1), (2, 1), (3, 1)], 2, Ties::Go), Some(Wrong::Count));
        assert_eq!(verdict(&[(1, 0), (2, 0)], 0, Ties::Go), None);
    }
}
