use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::pruner::{Compat, Layout, Score, Selection};
use crate::{Error, Norm, Scope, Target, Unit};

fn one(toml: &str) -> Rule {
    let mut recipe = Recipe::from_toml(&format!("[[rule]]\n{toml}")).unwrap();
    assert_eq!(recipe.rules.len(), 1);
    recipe.rules.remove(0)
}

#[track_caller]
fn refused(toml: &str, at: Option<usize>, says: &[&str]) {
    match Recipe::from_toml(toml) {
        Err(Error::Recipe { path: None, line, problem }) => {
            assert_eq!(line, at, "{problem}");
            assert!(says.iter().all(|text| problem.contains(text)), "{problem}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_makes_its_part_of_a_rule() {
    let half = || Rule::new(Target::Sparsity(0.5));
    let scores = |signed| Score::File { scores: "s.safetensors".into(), signed };
    let cases = [
        ("sparsity = 0.5", half()),
        ("sparsity = 1", Rule::new(Target::Sparsity(1.0))),
        ("threshold = inf", Rule::new(Target::Threshold(f64::INFINITY))),
        ("keep = 18446744073709551615", Rule::new(Target::Keep(u64::MAX))),
        ("keep = 2\nof = 4", Rule { scope: Scope::Group(4), ..Rule::new(Target::Keep(2)) }),
        ("keep = 2\nof = 4\nunit = 'nm'", Rule { scope: Scope::Group(4), ..Rule::new(Target::Keep(2)) }),
        ("scope = 'row'\nsparsity = 0.5", Rule { scope: Scope::Row, ..half() }),
        ("scope = 'global'\nsparsity = 0.5", Rule { scope: Scope::Global, ..half() }),
        ("unit = 'row'\nsparsity = 0.5", Rule { unit: Unit::Row, ..half() }),
        ("unit = 'column'\nnorm = 'l1'\nsparsity = 0.5", Rule { unit: Unit::Column, norm: Norm::L1, ..half() }),
        (
            "unit = '4x16'\nnorm = 'max'\nsparsity = 0.5",
            Rule { unit: Unit::Block { rows: 4, cols: 16 }, norm: Norm::Linf, ..half() },
        ),
        ("unit = 'weight'\nnorm = 'mean'\nsparsity = 0.5", Rule { norm: Norm::Mean, ..half() }),
        ("score = 'random'\nsparsity = 0.5", Rule { score: Score::Random { seed: 0 }, ..half() }),
        ("score = 'random'\nseed = 0xff\nsparsity = 0.5", Rule { score: Score::Random { seed: 255 }, ..half() }),
        (
            "score = 'wanda'\nactivations = 'a.safetensors'\nsparsity = 0.5",
            Rule { score: Score::Wanda { activations: "a.safetensors".into() }, ..half() },
        ),
        (
            "unit = 'row'\nscore = 'activation'\nactivations = 's.safetensors'\nthreshold = 0",
            Rule { unit: Unit::Row, score: scores(false), ..Rule::new(Target::Threshold(0.0)) },
        ),
        ("score = 'file'\nscores = 's.safetensors'\nsparsity = 0.5", Rule { score: scores(false), ..half() }),
        ("score = 'signed-file'\nscores = 's.safetensors'\nsparsity = 0.5", Rule { score: scores(true), ..half() }),
        ("layout = 'in-out'\nsparsity = 0.5", Rule { layout: Layout::InOut, ..half() }),
        ("compat = 'tfmot'\nsparsity = 0.5", Rule { compat: Compat::Tfmot, ..half() }),
        ("all = true\nsparsity = 0.5", Rule { selection: Selection { all: true, ..Selection::default() }, ..half() }),
        (
            "include = '*.mlp.*'\nexclude = ['*.0.*', \"a\\u001bb\"]\nsparsity-for = ['a=b=0.25']\nsparsity = 0.5",
            Rule {
                selection: Selection {
                    include: vec!["*.mlp.*".into()],
                    exclude: vec!["*.0.*".into(), "a\x1bb".into()],
                    all: false,
                    sparsity_for: vec![("a=b".into(), 0.25)],
                },
                ..half()
            },
        ),
    ];
    for (toml, rule) in cases {
        assert_eq!(one(toml), rule, "{toml}");
        let recipe = Recipe::from(&rule);
        assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe, "{}", recipe.to_toml());
    }
}

#[test]
fn what_is_not_known_is_named_with_its_line_and_a_suggestion() {
    let rule = |line: &str| {
        format!("# a comment\n\n[[rule]]\nsparsity = 0.5\n\n[[rule]]\n# another\n{line}\nsparsity = 0.5\n")
    };
    for (line, says) in [
        ("sparcity = 0.5", &["unknown key `sparcity`", "did you mean `sparsity`?"][..]),
        ("Scope = 'row'", &["did you mean `scope`?"]),
        ("frobnicate = 1", &["unknown key `frobnicate`", "give one of `include`, `exclude`"]),
        ("scope = 'rows'", &["unknown scope `rows`", "did you mean `row`?"]),
        ("scope = 'layer'", &["give one of `tensor`, `row`, `global`"]),
        ("norm = 'l3'", &["unknown norm `l3`", "did you mean `l"]),
        ("unit = 'colum'", &["did you mean `column`?"]),
        ("unit = 'block'", &["give `4x4`"]),
        ("unit = '0x4'", &["`0x4`", "no weights"]),
        ("unit = '4x99999999999'", &["unknown unit"]),
        ("score = 'wandas'", &["did you mean `wanda`?"]),
        ("layout = 'out_in'", &["did you mean `out-in`?"]),
        ("compat = 'pytorch'", &["unknown compat `pytorch`", "torch"]),
        ("include = 3", &["`include`", "a string or a list of strings", "`3`"]),
        ("include = ['a', 3]", &["a list of strings", "array"]),
        ("all = 'yes'", &["`true` or `false`", "`yes`"]),
        ("keep = -1", &["0 or more", "`-1`"]),
        ("keep = 0.5", &["whole number"]),
        ("of = 18446744073709551616", &["whole number"]),
        ("sparsity-for = ['x']", &["`x` is not GLOB=S"]),
        ("scope = { a = 1 }", &["a word", "table"]),
        ("\"\\u001b[2J\" = 1", &["unknown key `\\u{1b}[2J`"]),
    ] {
        refused(&rule(line), Some(8), &[&["rule 2: "], says].concat());
    }
    refused("[[rule]]\nsparsity = '0.5'", Some(2), &["rule 1: `sparsity`: give a number", "`0.5`"]);
    refused("[[rules]]\nsparsity = 0.5", Some(1), &["unknown key `rules`", "did you mean `rule`?"]);
    refused("\n[rule]\nsparsity = 0.5", Some(2), &["write `[[rule]]`"]);
    refused("rule = [3]", Some(1), &["rule 1", "no table"]);
    refused("rule = []", None, &["no rules"]);
    refused("# nothing", None, &["no rules"]);
    refused("[[rule]]\nsparsity = 0.5\nsparsity = 0.6", Some(3), &["no TOML", "duplicate"]);
    refused("[[rule]]\nsparsity = ", Some(2), &["no TOML"]);
    refused(&"#".repeat((1 << 20) + 1), None, &["1048576"]);
    refused(&"[[rule]]\nkeep = 0\n".repeat(4097), Some(8193), &["more than 4096 rules"]);
    let globs = format!("[[rule]]\nkeep = 0\ninclude = [{}]", "'*a',".repeat(4097));
    refused(&globs, Some(1), &["rule 1", "more than 4096 globs"]);
    let deep = format!("a = {}", "[".repeat(100_000));
    refused(&deep, Some(1), &["no TOML"]);
}

#[test]
fn contradictions_are_named_with_the_line_of_their_rule() {
    for (toml, says) in [
        ("include = '*'", &["how much goes"][..]),
        ("sparsity = 0.5\nkeep = 3", &["twice"]),
        ("sparsity = 0.5\nof = 4", &["`of` needs `keep`"]),
        ("keep = 2\nof = 4\nscope = 'row'", &["contradicts scope `row`"]),
        ("keep = 2\nof = 4\nunit = '2x2'", &["contradicts unit `block`"]),
        ("keep = 2\nunit = 'nm'", &["needs `keep` and `of`"]),
        ("keep = 5\nof = 4", &["5 of every 4"]),
        ("sparsity = 2", &["2 is no share"]),
        ("sparsity = nan", &["no share"]),
        ("threshold = -0.5", &["-0.5 is no magnitude"]),
        ("unit = 'row'\nscope = 'row'\nsparsity = 0.5", &["scope `row` contradicts unit `row`"]),
        ("score = 'wanda'\nsparsity = 0.5", &["needs `activations`"]),
        ("score = 'activation'\nactivations = 'a'\nsparsity = 0.5", &["unit `row`"]),
        ("score = 'file'\nsparsity = 0.5", &["needs `scores`"]),
        ("activations = 'a'\nsparsity = 0.5", &["`activations` means nothing"]),
        ("scores = 'a'\nsparsity = 0.5", &["`scores` means nothing"]),
        ("seed = 3\nsparsity = 0.5", &["`seed` means nothing"]),
        ("compat = 'tfmot'\nkeep = 3", &["`tfmot`"]),
        ("compat = 'wanda'\nscope = 'global'\nsparsity = 0.5", &["`wanda`", "`global`"]),
    ] {
        refused(&format!("[[rule]]\nsparsity = 0.5\n[[rule]]\n{toml}\n"), Some(3), &[&["rule 2: "], says].concat());
    }
}

#[test]
fn paths_start_from_the_recipes_folder_and_errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    let toml = "[[rule]]\nsparsity = 0.5\nscore = 'wanda'\nactivations = ";
    fs::write(&path, format!("{toml}'sub/a.safetensors'")).unwrap();
    let file = |path: &PathBuf| Recipe::read(path).unwrap().rules[0].score.file().unwrap().to_path_buf();
    assert_eq!(file(&path), folder.path().join("sub/a.safetensors"));
    fs::write(&path, format!("{toml}'/a.safetensors'")).unwrap();
    assert_eq!(file(&path), PathBuf::from("/a.safetensors"));
    fs::write(&path, "[[rule]]\n\nsparcity = 1").unwrap();
    let says = Recipe::read(&path).unwrap_err().to_string();
    assert!(says.starts_with(&format!("{}: line 3: rule 1: unknown key `sparcity`", path.display())), "{says}");
    fs::write(&path, b"\xff").unwrap();
    assert!(Recipe::read(&path).unwrap_err().to_string().contains("recipe.toml: it is not UTF-8"));
    fs::write(&path, vec![b'\n'; (1 << 20) + 1]).unwrap();
    assert!(Recipe::read(&path).unwrap_err().to_string().contains("1048576"));
    assert!(matches!(Recipe::read(folder.path()), Err(Error::Io { .. })));
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let target = prop_oneof![
        (0.0..=1.0).prop_map(Target::Sparsity),
        (0.0..=f64::MAX).prop_map(Target::Threshold),
        Just(Target::Threshold(f64::INFINITY)),
        any::<u64>().prop_map(Target::Keep),
        (0..40u64).prop_map(Target::Keep),
    ];
    let scope = prop_oneof![
        prop::sample::select(vec![Scope::Tensor, Scope::Row, Scope::Global]),
        (0..40u32).prop_map(Scope::Group)
    ];
    let unit = prop_oneof![
        prop::sample::select(vec![Unit::Weight, Unit::Row, Unit::Column]),
        any::<(u32, u32)>().prop_map(|(rows, cols)| Unit::Block { rows, cols })
    ];
    let file = "\\PC{1,12}".prop_map(PathBuf::from);
    let score = prop_oneof![
        Just(Score::Magnitude),
        any::<u64>().prop_map(|seed| Score::Random { seed }),
        file.clone().prop_map(|activations| Score::Wanda { activations }),
        (file, any::<bool>()).prop_map(|(scores, signed)| Score::File { scores, signed }),
    ];
    let globs = || prop::collection::vec(any::<String>(), 0..3);
    let own = prop::collection::vec((any::<String>(), 0.0..=1.0), 0..2);
    let selection = (globs(), globs(), any::<bool>(), own)
        .prop_map(|(include, exclude, all, sparsity_for)| Selection { include, exclude, all, sparsity_for });
    let norm = prop::sample::select(vec![Norm::L1, Norm::L2, Norm::Linf, Norm::Mean]);
    let layout = prop::sample::select(vec![Layout::OutIn, Layout::InOut]);
    let compat = prop::sample::select(Compat::ALL.to_vec());
    (target, scope, unit, norm, score, layout, compat, selection).prop_map(
        |(target, scope, unit, norm, score, layout, compat, selection)| Rule {
            target,
            scope,
            unit,
            norm,
            score,
            layout,
            compat,
            selection,
        },
    )
}

proptest! {
    #[test]
    fn a_recipe_that_is_written_is_read_again(rules in prop::collection::vec(any_rule(), 1..12)) {
        let rules: Vec<Rule> = rules.into_iter().filter(|rule| rule.check().is_ok()).collect();
        if rules.is_empty() { return Ok(()) }
        let recipe = Recipe { rules };
        prop_assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
    }
}

#[test]
fn couplings_in_a_recipe_are_for_shrink() {
    let couple = "[[couple]]\nmembers = [{ tensor = \"a\", axis = 0 }]\n";
    assert_eq!(Recipe::from_toml(&format!("{couple}[[rule]]\nsparsity = 0.5\n")).unwrap().rules.len(), 1);
    assert!(Recipe::from_toml(couple).unwrap_err().to_string().contains("no rules"));
}
