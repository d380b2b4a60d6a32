//! One knob at a time.

use super::task::Task;
use crate::gpu::Tuning;

/// A knob of [`Tuning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knob {
    Workgroup,
    Workgroups,
    RowWorkgroup,
    Lanes,
    Capacity,
    Sample,
}

impl Knob {
    /// From what matters most to what matters least.
    pub const ALL: [Knob; 6] =
        [Knob::Workgroup, Knob::Workgroups, Knob::Lanes, Knob::RowWorkgroup, Knob::Capacity, Knob::Sample];

    pub fn name(self) -> &'static str {
        match self {
            Knob::Workgroup => "workgroup",
            Knob::Workgroups => "workgroups",
            Knob::RowWorkgroup => "row_workgroup",
            Knob::Lanes => "lanes",
            Knob::Capacity => "capacity",
            Knob::Sample => "sample",
        }
    }

    pub fn of(self, tuning: &mut Tuning) -> &mut u32 {
        match self {
            Knob::Workgroup => &mut tuning.workgroup,
            Knob::Workgroups => &mut tuning.workgroups,
            Knob::RowWorkgroup => &mut tuning.row_workgroup,
            Knob::Lanes => &mut tuning.lanes,
            Knob::Capacity => &mut tuning.capacity,
            Knob::Sample => &mut tuning.sample,
        }
    }

    /// Whether a task's kernels have it.
    pub fn turns(self, task: Task) -> bool {
        match self {
            Knob::Workgroup | Knob::Workgroups => true,
            Knob::RowWorkgroup => task.is_row(),
            Knob::Lanes => task.is_product(),
            Knob::Capacity | Knob::Sample => !task.is_product(),
        }
    }

    /// These knobs with this one `factor` times as large, or that small a part of it, if kernels can do with that.
    pub fn moved(self, tuning: Tuning, up: bool, factor: u32) -> Option<Tuning> {
        let mut moved = tuning;
        let value = self.of(&mut moved);
        *value = if up { value.checked_mul(factor)? } else { *value / factor };
        let workgroups = moved.workgroups;
        (moved != tuning && (1..=1 << 16).contains(&workgroups) && moved.sample >= 1024 && moved.check().is_ok())
            .then_some(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_move_within_their_range_and_one_at_a_time() {
        for (tuning, knob) in [Tuning::GPU, Tuning::CPU].iter().flat_map(|t| Knob::ALL.map(|knob| (*t, knob))) {
            for (up, factor) in [(true, 2), (false, 2), (true, 4), (false, 4)] {
                let Some(mut moved) = knob.moved(tuning, up, factor) else { continue };
                let (mut before, value) = (tuning, *knob.of(&mut moved));
                assert!(moved.check().is_ok() && value != *knob.of(&mut before), "{}", knob.name());
                *knob.of(&mut before) = value;
                assert_eq!(moved, before, "nothing else moves");
            }
        }
        assert_eq!(Knob::Workgroup.moved(Tuning::GPU, true, 2), None, "256 threads are the most");
        assert_eq!(Knob::Workgroups.moved(Tuning { workgroups: 1, ..Tuning::GPU }, false, 2), None);
    }
}
