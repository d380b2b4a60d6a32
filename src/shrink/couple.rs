//! `[[couple]]` of a recipe: couplings that a person spells out, by globs with captures.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::coupling::bias_of;
use super::glob::Glob;
use super::{Coupling, Couplings, Kind, Member, Place, Problem};
use crate::checkpoint::{TensorInfo, quoted};
use crate::{Error, Result, toml_file};

/// `[[couple]]` at most.
const MOST: usize = 4096;

/// Members of one at most.
const MOST_MEMBERS: usize = 64;

/// Members at most of all couplings that a recipe comes to.
const MOST_PLACES: usize = 1 << 20;

/// One `[[couple]]`: globs of tensors that hang together. What `*` stands for in the names says which of them do: those in
/// whose names it stands for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Couple {
    /// At least one that makes units, and one that takes them.
    pub members: Vec<CoupleMember>,
}

/// A tensor of a [`Couple`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoupleMember {
    /// A glob of its names: `*` is any text, and all else is itself.
    pub tensor: String,
    /// Where its units lie.
    pub place: Place,
    /// Whether it takes the units.
    pub consumes: bool,
}

/// Reads the `[[couple]]` of a recipe; its `[[rule]]` are `prune`'s.
///
/// # Errors
/// [`Error::Io`]; [`Error::Recipe`] with the line, and what is wrong there.
pub fn read(path: &Path) -> Result<Vec<Couple>> {
    from_toml(&toml_file::read(path)?).map_err(|error| toml_file::in_file(error, path))
}

/// The same from text.
///
/// # Errors
/// [`Error::Recipe`] with the line, and what is wrong there.
pub fn from_toml(text: &str) -> Result<Vec<Couple>> {
    toml_file::check_length(text.len())?;
    let line = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
    let wrong = |at: usize, problem: String| Error::Recipe { path: None, line: Some(line(at)), problem };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        wrong(at, format!("it is no TOML: {}", error.message().escape_debug()))
    })?;
    let mut couples = Vec::new();
    for (key, value) in table.get_ref() {
        let at = key.span().start;
        match (key.get_ref().as_ref(), value.get_ref().as_array()) {
            ("rule", _) => {}
            ("couple", Some(list)) => {
                for item in list.iter() {
                    let (at, n) = (item.span().start, couples.len() + 1);
                    let couple = item.get_ref().as_table().ok_or("it is no table: write `[[couple]]`".to_owned());
                    let couple = couple.and_then(|table| couple_of(table));
                    couples.push(couple.map_err(|why| wrong(at, format!("couple {n}: {why}")))?);
                }
            }
            ("couple", None) => return Err(wrong(at, "`couple` is a list of tables: write `[[couple]]`".into())),
            (other, _) => return Err(wrong(at, format!("unknown key {}: give `couple` or `rule`", quoted(other)))),
        }
    }
    match couples.len() {
        0 => Err(Error::Recipe { path: None, line: None, problem: "it has no `[[couple]]`".into() }),
        n if n > MOST => Err(Error::Recipe {
            path: None,
            line: None,
            problem: format!("it has {n} `[[couple]]`, {MOST} is the most"),
        }),
        _ => Ok(couples),
    }
}

fn couple_of(table: &DeTable<'_>) -> Result<Couple, String> {
    let mut members = Vec::new();
    for (key, value) in table {
        if key.get_ref() != "members" {
            return Err(format!("unknown key {}: give `members`", quoted(key.get_ref())));
        }
        let list = value.get_ref().as_array().ok_or("`members` is a list of tables")?;
        for item in list.iter() {
            members.push(member(item.get_ref().as_table().ok_or("`members` is a list of tables")?)?);
        }
    }
    let side = |consumes: bool| members.iter().any(|member: &CoupleMember| member.consumes == consumes);
    match () {
        () if members.len() > MOST_MEMBERS => {
            Err(format!("it has {} members, {MOST_MEMBERS} is the most", members.len()))
        }
        () if !side(false) => {
            Err("none of its members makes units: give one along its rows, or with `takes = false`".into())
        }
        () if !side(true) => {
            Err("none of its members takes units: give one along its columns, or with `takes = true`".into())
        }
        () => Ok(Couple { members }),
    }
}

fn member(table: &DeTable<'_>) -> Result<CoupleMember, String> {
    let (mut tensor, mut axis, mut group, mut takes) = (None, None, 1, None);
    for (key, value) in table {
        let value = value.get_ref();
        match (key.get_ref().as_ref(), value) {
            ("tensor", DeValue::String(glob)) => tensor = Some(glob.to_string()),
            ("axis", DeValue::String(word)) if word == "rows" => axis = Some(0),
            ("axis", DeValue::String(word)) if word == "columns" => axis = Some(1),
            ("axis", DeValue::Integer(number)) if matches!(number.as_str(), "0" | "1") => {
                axis = Some(if number.as_str() == "0" { 0 } else { 1 });
            }
            ("group", DeValue::Integer(number)) => {
                let number = u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| *number > 0);
                group = number.ok_or("`group` is a number of 1 or more")?;
            }
            ("takes", DeValue::Boolean(word)) => takes = Some(*word),
            ("tensor", _) => return Err("`tensor` is a name, in which `*` stands for any text".into()),
            ("axis", _) => return Err("`axis` is `rows` (0) or `columns` (1)".into()),
            ("group", _) => return Err("`group` is a number of 1 or more".into()),
            ("takes", _) => return Err("`takes` is `true` or `false`".into()),
            (other, _) => {
                return Err(format!("unknown key {}: give `tensor`, `axis`, `group` or `takes`", quoted(other)));
            }
        }
    }
    let tensor = tensor.ok_or("a member has no `tensor`")?;
    let axis = axis.ok_or_else(|| format!("{} has no `axis`: give `rows` or `columns`", quoted(&tensor)))?;
    let place = if axis == 0 { Place::Rows(group) } else { Place::Columns(group) };
    Ok(CoupleMember { tensor, place, consumes: takes.unwrap_or(axis == 1) })
}

/// The couplings that these come to.
///
/// # Errors
/// [`Problem::Glob`] where a glob matches nothing, or too much, or lacks what another one has; those of [`Coupling::new`] and
/// [`Couplings::new`].
pub fn of_couples(couples: &[Couple], tensors: &[TensorInfo]) -> Result<Couplings, Problem> {
    bounded(couples, tensors, MOST_PLACES)
}

fn bounded(couples: &[Couple], tensors: &[TensorInfo], most: usize) -> Result<Couplings, Problem> {
    let mut list = Vec::new();
    for couple in couples {
        let before: usize = list.iter().map(|coupling: &Coupling| coupling.members.len()).sum();
        // What the stars stand for, and for each member the tensor of it.
        let mut found: BTreeMap<Vec<&str>, Vec<Option<usize>>> = BTreeMap::new();
        for (at, member) in couple.members.iter().enumerate() {
            let glob = Glob::new(&member.tensor);
            let mut any = false;
            for (number, info) in tensors.iter().enumerate() {
                let Some(captures) = glob.captures(&info.name) else { continue };
                any = true;
                let places = before + (found.len() + 1).saturating_mul(couple.members.len());
                match found.get_mut(&captures) {
                    Some(numbers) => numbers[at] = Some(number),
                    None if places > most => {
                        let problem = format!("with it couplings have {places} members in all, {most} is the most");
                        return Err(Problem::Glob { glob: member.tensor.clone(), problem });
                    }
                    None => {
                        let mut numbers = vec![None; couple.members.len()];
                        numbers[at] = Some(number);
                        found.insert(captures, numbers);
                    }
                }
            }
            if !any {
                let problem = "it matches no tensor of the checkpoint".into();
                return Err(Problem::Glob { glob: member.tensor.clone(), problem });
            }
        }
        let first = list.len();
        for (captures, numbers) in found {
            let members = couple.members.iter().zip(&numbers).map(|(member, number)| {
                let &tensor = number.as_ref().ok_or_else(|| {
                    let other = numbers.iter().flatten().next().map_or("", |other| &tensors[*other].name);
                    let stand = captures.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
                    let problem = format!("it matches no tensor to go with {}: stars stand for {stand}", quoted(other));
                    Problem::Glob { glob: member.tensor.clone(), problem }
                })?;
                Ok(match member.consumes {
                    true => Member::takes(tensor, member.place, bias_of(&tensors[tensor].name)),
                    false => Member::makes(tensor, member.place),
                })
            });
            let mut members = members.collect::<Result<Vec<_>, Problem>>()?;
            members.sort_by_key(|member| member.consumes);
            list.push(Coupling::new(tensors[members[0].tensor].name.clone(), tensors, members)?);
        }
        // In the order of the model: `layers.10` is behind `layers.9`, as far as tensors lie in order.
        list[first..].sort_by_key(|coupling| natural(&coupling.name));
    }
    Couplings::new("[[couple]] of the recipe".into(), Kind::Neuron, list, tensors)
}

/// The name in parts, so that numbers are in the order of numbers.
fn natural(name: &str) -> Vec<(u64, String)> {
    name.split('.').map(|part| (part.parse().unwrap_or(u64::MAX), part.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(shapes: &[(&str, &[u64])]) -> Vec<TensorInfo> {
        let info = |(name, shape): &(&str, &[u64])| TensorInfo::new(*name, safetensors::Dtype::F32, *shape).unwrap();
        shapes.iter().map(info).collect()
    }

    const MLP: &str = r#"
        [[rule]]
        sparsity = 0.5
        [[couple]]
        members = [
            { tensor = "h.*.down", axis = 1 },
            { tensor = "h.*.up", axis = "rows" },
            { tensor = "h.*.bias", axis = 0 },
        ]"#;

    #[test]
    fn stars_say_what_hangs_together() {
        let couples = from_toml(MLP).unwrap();
        let mut all = tensors(&[("h.10.up", &[6, 3]), ("h.10.down", &[3, 6]), ("h.10.bias", &[6])]);
        all.extend(tensors(&[("h.9.bias", &[4]), ("h.9.up", &[4, 3]), ("h.9.down", &[3, 4]), ("other", &[4])]));
        let found = of_couples(&couples, &all).unwrap();
        let names: Vec<_> = found.list.iter().map(|c| (c.name.as_str(), c.units, c.members.len())).collect();
        assert_eq!(names, [("h.9.up", 4, 3), ("h.10.up", 6, 3)]);
        assert!(found.list.iter().all(|c| c.members[2].consumes && c.members[2].place == Place::Columns(1)));

        assert!(bounded(&couples, &all, 6).is_ok());
        let problem = bounded(&couples, &all, 5).unwrap_err().to_string();
        assert!(problem.contains("couplings have 6 members in all, 5 is the most"), "{problem}");

        let problem = |tensors: &[TensorInfo]| of_couples(&couples, tensors).unwrap_err().to_string();
        assert!(
            problem(&all[1..]).contains("`h.*.up`: it matches no tensor to go with `h.10.down`: stars stand for `10`")
        );
        assert!(problem(&all[6..]).contains("`h.*.down`: it matches no tensor"));
        all[1] = tensors(&[("h.10.down", &[3, 5])]).remove(0);
        assert!(problem(&all).contains("`h.10.up` has 6 units and `h.10.down`, which hangs together with it, has 5"));
    }

    #[test]
    fn members_are_64_at_most() {
        let of = |makes: usize| {
            let members = "{tensor = \"a\", axis = 0},".repeat(makes);
            from_toml(&format!("[[couple]]\nmembers = [{members}{{tensor = \"b\", axis = 1}}]"))
        };
        assert_eq!(of(63).unwrap()[0].members.len(), 64);
        assert!(of(64).unwrap_err().to_string().contains("it has 65 members, 64 is the most"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, says) in [
            ("", None, "no `[[couple]]`"),
            ("couple = 3", Some(1), "write `[[couple]]`"),
            ("[[couple]]\nrows = 1", Some(1), "unknown key `rows`"),
            ("\n[[couple]]\nmembers = [{tensor = \"a\", axis = 0}]", Some(2), "takes units"),
            ("[[couple]]\nmembers = [{tensor = \"a\", axis = 1}]", Some(1), "makes units"),
            ("[[couple]]\nmembers = [{tensor = \"a\"}]", Some(1), "`a` has no `axis`"),
            ("[[couple]]\nmembers = [{tensor = \"a\", axis = 2}]", Some(1), "`rows` (0) or `columns` (1)"),
            ("[[couple]]\nmembers = [{tensor = \"a\", axis = 1, group = 0}]", Some(1), "1 or more"),
            ("[[couple]]\nmembers = [{axis = 1}]", Some(1), "has no `tensor`"),
            ("[[cuople]]", Some(1), "unknown key `cuople`"),
            ("[[couple]", Some(1), "no TOML"),
        ] {
            match from_toml(text).unwrap_err() {
                Error::Recipe { line: at, problem, .. } => {
                    assert!(at == line && problem.contains(says), "{text}: {at:?} {problem}");
                }
                other => panic!("{text}: {other}"),
            }
        }
    }
}
