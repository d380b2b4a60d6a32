//! The pages of `--html` in a real browser: nothing on the console, charts, values, tables that sort. Needs Chromium, and is
//! run by `scripts/pages.sh`.

#![cfg(feature = "cli")]

#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "cli/harness.rs"]
mod harness;
#[cfg(unix)]
#[path = "pages/keyboard.rs"]
mod keyboard;

use std::fs;
use std::process::Command;

use harness::{Folder, MODEL, adapter, lopper, tampered};
use serde_json::Value;

/// A network whose layers are measured.
const DIGITS: &str = concat!(env!("LOPPER_TEST_ROOT"), "/examples/digits/mlp.safetensors");

/// Presses every heading twice and notes what comes of it, then tells what is there.
const PROBE: &str = r#"<script>
const tables = [...document.querySelectorAll("table")].map((table) => {
  const column = (n) => [...table.tBodies[0].rows].map((row) => row.cells[n].dataset.v ?? row.cells[n].textContent);
  const heads = [...table.tHead.rows[0].cells];
  const before = heads.map((_, n) => column(n));
  const sorted = heads.map((head, n) => {
    const numbers = head.classList.contains("number");
    const rises = (values) => values.every((v, i) => i == 0 || (numbers
      ? (values[i - 1] === "" ? -Infinity : +values[i - 1]) <= (v === "" ? -Infinity : +v)
      : values[i - 1].localeCompare(v, "en", { numeric: true }) <= 0));
    head.querySelector("button").click();
    const up = head.getAttribute("aria-sort") === "ascending" && rises(column(n));
    head.querySelector("button").click();
    return up && head.getAttribute("aria-sort") === "descending" && rises(column(n).reverse());
  });
  return { heads: heads.map((head) => head.textContent), columns: before, sorted };
});
const charts = [...document.querySelectorAll("svg")].map((svg) => ({
  shapes: svg.querySelectorAll("polyline[stroke^=var], rect[fill^=var], circle[fill^=var]").length,
  hover: svg.querySelectorAll(".spot title").length,
  labels: [...svg.querySelectorAll("text")].map((text) => text.textContent.trim()),
  wide: svg.getBoundingClientRect().width,
}));
const probe = { tables, charts, ready: document.documentElement.dataset.ready, wide: document.body.scrollWidth,
  paper: getComputedStyle(document.body).backgroundColor };
document.documentElement.dataset.probe = JSON.stringify(probe);
</script>"#;

/// What the page is like in a browser of this width.
fn probe(folder: &Folder, page: &str, width: u32, dark: bool) -> Value {
    let html = fs::read_to_string(page).unwrap();
    assert!(!html.contains("http://") || html.matches("http://").all(|_| html.contains("http://www.w3.org/2000/svg")));
    assert!(
        !html.contains("https://") && !html.contains("src=") && !html.contains("@import"),
        "nothing from a network"
    );
    let probed = folder.at("probed.html");
    fs::write(&probed, html.replace("</html>", &format!("{PROBE}</html>"))).unwrap();
    let browser = std::env::var("LOPPER_BROWSER").unwrap_or_else(|_| "chromium".into());
    let scheme = format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 });
    let (size, profile) = (format!("--window-size={width},900"), format!("--user-data-dir={}", folder.at("profile")));
    let quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr", "--v=0"])
        .args(quiet)
        .args([&scheme, &size, &profile, &format!("file://{probed}")])
        .output()
        .expect("a browser: scripts/pages.sh brings one");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("CONSOLE"), "{log}");
    let dom = String::from_utf8(output.stdout).unwrap();
    let start = dom.find("data-probe=\"").unwrap_or_else(|| panic!("no probe in {dom}")) + "data-probe=\"".len();
    let text = &dom[start..start + dom[start..].find('"').unwrap()];
    let text = text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The column of this name in the table that has it, by the first column's text.
fn column(probe: &Value, name: &str) -> Vec<(String, String)> {
    let tables = probe["tables"].as_array().unwrap();
    let table = tables.iter().rev().find(|t| t["heads"].as_array().unwrap().contains(&name.into())).unwrap();
    let at = table["heads"].as_array().unwrap().iter().position(|head| head == name).unwrap();
    let of = |n: usize| table["columns"][n].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_string());
    of(0).zip(of(at)).collect()
}

/// Every tensor's value in this column is the one that `of` finds in its JSON.
fn same(probe: &Value, name: &str, tensors: &Value, of: impl Fn(&Value) -> Option<f64>) {
    let tensors = tensors.as_array().unwrap();
    let shown = column(probe, name);
    assert_eq!(shown.len(), tensors.len(), "{name}");
    for (tensor, value) in shown {
        let json = tensors.iter().find(|t| t["name"] == tensor.as_str()).unwrap();
        match (of(json), value.parse::<f64>()) {
            (Some(expected), Ok(value)) => {
                assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{name} {tensor}")
            }
            (expected, value) => {
                assert!(expected.is_none() && value.is_err(), "{name} {tensor}: {expected:?} {value:?}")
            }
        }
    }
}

#[test]
#[ignore = "needs a browser: scripts/pages.sh"]
fn pages_are_what_the_json_says_at_any_width_in_both_colours() {
    let folder = Folder::new();
    let page = |name: &str| folder.at(&format!("{name}.html"));
    let (other, pruned) = (folder.at("other.safetensors"), folder.at("pruned.safetensors"));
    tampered(MODEL, &other, 0.0);
    let (json, report) = (|args: &[&str]| lopper(args).works().json(), folder.at("report.json"));
    let inspect = json(&["inspect", MODEL, "--json", "--html", &page("inspect")]);
    let allocate = ["--allocate", "error", "--sparsity", "0.5"];
    let sweep = json(&[&["sweep", MODEL, "--json", "--html", &page("sweep")][..], &allocate].concat());
    let compare = json(&["compare", MODEL, &other, "--json", "--html", &page("compare")]);
    let html = page("prune");
    let prune = ["prune", MODEL, "-o", &pruned, "--sparsity", "0.5", "-q", "--html", &html, "--report", &report];
    let prune: Vec<String> = prune.iter().map(|arg| arg.to_string()).chain(adapter()).collect();
    lopper(&prune).works();
    let prune: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();

    let (html, measured) = (page("bench"), folder.at("bench.json"));
    let bench = [
        "bench",
        "--shape",
        "64x128",
        "--batch",
        "1,2",
        "--sparsity",
        "0.5,0.9",
        "--format",
        "ell,csr",
        "--time",
        "60",
    ];
    let bench = [&bench[..], &["-q", "--html", &html, "--json", &measured]].concat();
    lopper(&bench.iter().map(|arg| arg.to_string()).chain(adapter()).collect::<Vec<_>>()).works();
    let bench: Value = serde_json::from_slice(&fs::read(&measured).unwrap()).unwrap();
    let both = folder.at("contrast.json");
    lopper(&["bench", "--compare", &measured, &measured, "-q", "--json", &both, "--html", &page("contrast")]).works();
    let contrast: Value = serde_json::from_slice(&fs::read(&both).unwrap()).unwrap();
    let (layers, totals) = (folder.at("layers.json"), page("model"));
    let model = ["bench", "--model", DIGITS, "--sparsity", "0.5,0.9", "--time", "60", "-q"];
    let model = [&model[..], &["--html", &totals, "--json", &layers]].concat();
    lopper(&model.iter().map(|arg| arg.to_string()).chain(adapter()).collect::<Vec<_>>()).works();
    let model: Value = serde_json::from_slice(&fs::read(&layers).unwrap()).unwrap();

    let pages =
        [("inspect", 2), ("sweep", 2), ("compare", 2), ("prune", 2), ("bench", 3), ("contrast", 1), ("model", 4)];
    for (name, charts) in pages {
        // Chromium's windows are not narrower than 500.
        for (width, dark) in [(1200, false), (500, true)] {
            let probe = probe(&folder, &page(name), width, dark);
            let about = format!("{name} {width} {dark}");
            assert_eq!(probe["charts"].as_array().unwrap().len(), charts, "{about}");
            for chart in probe["charts"].as_array().unwrap() {
                assert!(
                    chart["shapes"].as_u64().unwrap() > 0 && chart["hover"].as_u64().unwrap() > 0,
                    "{about}: {chart}"
                );
                assert!(chart["labels"].as_array().unwrap().len() > 6, "{about}: {chart}");
                assert!(chart["wide"].as_f64().unwrap() <= f64::from(width), "{about}: {chart}");
            }
            assert!(probe["wide"].as_f64().unwrap() <= f64::from(width), "{about}: {}", probe["wide"]);
            for table in probe["tables"].as_array().unwrap() {
                assert!(table["sorted"].as_array().unwrap().iter().all(|s| s == true), "{about}: {table}");
            }
            let dark_paper = probe["paper"] == "rgb(22, 24, 26)";
            assert_eq!(dark_paper, dark, "{about}: {}", probe["paper"]);
            let value = |key: &'static str| move |t: &Value| t["values"][key].as_f64();
            match name {
                "inspect" => {
                    same(&probe, "zeros", &inspect["tensors"], value("zeros"));
                    same(&probe, "median |w|", &inspect["tensors"], value("median"));
                    same(&probe, "2:4", &inspect["tensors"], value("two_of_four"));
                    same(&probe, "cut 90 %", &inspect["tensors"], |t| t["values"]["cuts"][9]["cut"].as_f64());
                }
                "sweep" => {
                    same(&probe, "error at 50 %", &sweep["tensors"], |t| t["curve"][10]["error"].as_f64());
                    same(&probe, "allocated", &sweep["tensors"], |t| t["allocated"]["sparsity"].as_f64());
                }
                "compare" => {
                    same(&probe, "masks agree", &compare["tensors"], |t| t["agreement"].as_f64());
                    same(&probe, "‖A − B‖ / ‖A‖", &compare["tensors"], |t| t["error"].as_f64());
                }
                "bench" => {
                    let cases = bench["cases"].as_array().unwrap();
                    for (name, of) in [("time", "seconds"), ("of its roof", "of_roof"), ("off f64", "error")] {
                        let shown = column(&probe, name);
                        assert_eq!(shown.len(), cases.len());
                        for ((_, shown), case) in shown.iter().zip(cases) {
                            let json = case[of].as_f64().or(case["time"][of].as_f64()).unwrap();
                            let shown: f64 = shown.parse().unwrap();
                            assert!((shown - json).abs() <= 1e-12 * json, "{name}: {shown} {json}");
                        }
                    }
                    assert_eq!(column(&probe, "best").len(), bench["break_even"].as_array().unwrap().len());
                }
                "contrast" => {
                    let (shown, pairs) = (column(&probe, "B is as fast"), contrast["pairs"].as_array().unwrap());
                    assert_eq!(shown.len(), bench["cases"].as_array().unwrap().len());
                    for ((_, shown), pair) in shown.iter().zip(pairs) {
                        assert_eq!(shown.parse::<f64>().unwrap(), pair["ratio"].as_f64().unwrap());
                        assert_eq!(pair["ratio"], 1.0, "a result against itself");
                    }
                }
                "model" => {
                    let (shown, totals) = (column(&probe, "vectors a second"), model["totals"].as_array().unwrap());
                    assert_eq!((shown.len(), totals.is_empty()), (totals.len(), false));
                    for ((_, shown), total) in shown.iter().zip(totals) {
                        let (batch, seconds) = (total["batch"].as_f64().unwrap(), total["seconds"].as_f64().unwrap());
                        let shown: f64 = shown.parse().unwrap();
                        assert!((shown - batch / seconds).abs() <= 1e-9 * shown, "{shown} {total}");
                    }
                }
                _ => {
                    same(&probe, "zeros after", &prune["tensors"], |t| t["zeros"].as_f64());
                    same(&probe, "cut", &prune["tensors"], |t| t["cut"].as_f64());
                    let (busy, waiting) = (column(&probe, "busy"), column(&probe, "waiting"));
                    for (row, stage) in ["read", "upload", "gpu", "download", "write", "copy"].into_iter().enumerate() {
                        for (shown, json) in [(&busy, &prune["seconds"]), (&waiting, &prune["waiting"])] {
                            let (shown, json) = (shown[row].1.parse::<f64>().unwrap(), json[stage].as_f64().unwrap());
                            assert!((shown - json).abs() <= 1e-12, "{stage}: {shown} {json}");
                        }
                    }
                }
            }
        }
    }
}
