//! Real keys in a real browser, which is spoken to over its devtools pipe: JSON and a zero byte, no socket.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::harness::{Folder, MODEL, lopper};

struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    calls: u64,
}

impl Browser {
    fn open(folder: &Folder) -> Self {
        let (to, from, profile) = (folder.at("to"), folder.at("from"), folder.at("profile"));
        assert!(Command::new("mkfifo").args([&to, &from]).status().unwrap().success());
        let browser = std::env::var("LOPPER_BROWSER").unwrap_or_else(|_| "chromium".into());
        // The pipe is descriptors 3 and 4, which only a shell sets up without unsafe code.
        let script = r#"exec "$0" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
            --disable-component-update --disable-sync --remote-debugging-pipe --user-data-dir="$3" about:blank 3<"$1" 4>"$2""#;
        let child = Command::new("sh")
            .args(["-c", script, &browser, &to, &from, &profile])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Each waits for the other end, in this order.
        let to = OpenOptions::new().write(true).open(to).unwrap();
        let from = BufReader::new(File::open(from).unwrap());
        Self { child, to, from, session: None, calls: 0 }
    }

    fn next(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "the browser went away");
        serde_json::from_slice(&message).unwrap()
    }

    /// What the browser answers.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.next();
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn open_page(&mut self, url: &str) {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = self.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        self.session = Some(attached["sessionId"].as_str().unwrap().into());
        self.call("Page.enable", json!({}));
        self.call("Page.navigate", json!({ "url": url }));
        while self.next()["method"] != "Page.loadEventFired" {}
        self.call("Page.bringToFront", json!({}));
    }

    fn key(&mut self, key: &str, code: u32, text: &str, shift: bool) {
        for kind in [if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "keyUp"] {
            let event = json!({
                "type": kind, "key": key, "code": if key == " " { "Space" } else { key }, "windowsVirtualKeyCode": code,
                "text": text, "unmodifiedText": text, "modifiers": if shift { 8 } else { 0 },
            });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    fn tab(&mut self, back: bool) {
        self.key("Tab", 9, "", back);
    }

    fn ask(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of the focused heading: its text, its column, how it is sorted, whether its ring is seen, and its column's values.
const FOCUSED: &str = r#"(() => {
  const button = document.activeElement, head = button.closest("th");
  if (!head) return null;
  const table = head.closest("table"), n = head.cellIndex;
  return { text: head.textContent, number: head.classList.contains("number"), sort: head.getAttribute("aria-sort"),
    ring: getComputedStyle(button).outlineStyle, table: [...document.querySelectorAll("table")].indexOf(table), column: n,
    values: [...table.tBodies[0].rows].map((row) => row.cells[n].dataset.v ?? row.cells[n].textContent) };
})()"#;

#[test]
#[ignore = "needs a browser: scripts/pages.sh"]
fn tables_sort_by_keys_alone() {
    let folder = Folder::new();
    let page = folder.at("inspect.html");
    lopper(&["inspect", MODEL, "--html", &page]).works();
    let page = fs::canonicalize(page).unwrap();
    let mut browser = Browser::open(&folder);
    browser.open_page(&format!("file://{}", page.display()));
    let buttons = browser.ask("document.querySelectorAll('th button').length").as_u64().unwrap();
    let mut seen = Vec::new();
    for _ in 0..buttons {
        browser.tab(false);
        let before = browser.ask(FOCUSED);
        assert!(before["sort"].is_null() && before["ring"] != "none", "{before}");
        seen.push((before["table"].as_u64().unwrap(), before["column"].as_u64().unwrap()));
        browser.key("Enter", 13, "\r", false);
        let up = browser.ask(FOCUSED);
        assert_eq!(up["sort"], "ascending", "Enter sorts: {up}");
        browser.key(" ", 32, " ", false);
        let down = browser.ask(FOCUSED);
        assert_eq!((&down["sort"], &down["text"]), (&json!("descending"), &before["text"]), "so does Space");
        if before["number"] == true {
            let values = |of: &Value| -> Vec<f64> {
                let value = |v: &Value| v.as_str().unwrap().parse().unwrap_or(f64::NEG_INFINITY);
                of["values"].as_array().unwrap().iter().map(value).collect()
            };
            assert!(values(&up).is_sorted() && values(&down).iter().rev().is_sorted(), "{up} {down}");
            let mut sorted = values(&before);
            sorted.sort_by(f64::total_cmp);
            assert_eq!(values(&up), sorted, "no row is lost");
        }
    }
    let mut order = seen.clone();
    order.sort_unstable();
    order.dedup();
    assert_eq!(order, seen, "every heading once, from left to right");
    assert!(seen.len() > 10, "{seen:?}");
    browser.tab(true);
    let (_, column) = seen[seen.len() - 2];
    assert_eq!(browser.ask(FOCUSED)["column"], column, "Shift and Tab go back");
}
