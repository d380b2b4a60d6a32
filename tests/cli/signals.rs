//! Ctrl-C and SIGTERM. None of these tests depends on how fast anything is: runs are too long to end by themselves, or
//! cannot end because no one reads what they print.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::harness::{Folder, TOOL, adapter, gpu, lopper};

/// Weights of the first tensor, which are all one: half of them are written as such, while the others are still zeros.
const ONES: usize = 4096;

/// Writes the header of a checkpoint of F32 tensors, the data of the first one, and holes for the others.
fn checkpoint(path: &str, tensors: &[(&str, &[u64])]) {
    let (mut header, mut at) = (String::new(), 0);
    for (name, shape) in tensors {
        let end = at + 4 * shape.iter().product::<u64>();
        let comma = if at == 0 { '{' } else { ',' };
        header += &format!(r#"{comma}"{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{at},{end}]}}"#);
        at = end;
    }
    header += "}";
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.write_all(&1f32.to_le_bytes().repeat(ONES)).unwrap();
    file.set_len(8 + header.len() as u64 + at).unwrap();
}

/// 64 GiB of weights that are all zero but the first few, in a file that takes no room: minutes of work, and what is
/// written before they are over is little.
fn endless(path: &str) {
    checkpoint(path, &[("ones", &[64, 64]), ("zeros", &[1 << 17, 1 << 17])]);
}

/// `lopper` while it runs. Killed when dropped: a test that fails leaves nothing that goes on writing.
struct Run {
    child: Child,
    err: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Run {
    /// Prunes half; its stderr goes to `err`, which must be where no test looks for what is left.
    fn start(err: &Folder, args: &[&str]) -> Self {
        Self::begin(err, &[&["prune", "--sparsity", "0.5", "--memory", "64MiB"], args].concat())
    }

    /// Starts it.
    fn begin(err: &Folder, args: &[&str]) -> Self {
        let err = PathBuf::from(err.at("stderr"));
        let child = Command::new(TOOL)
            .args(args)
            .args(adapter())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        Self { child, err }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap()).into()
    }

    /// Waits until it is so; the run must not end before. The limit is for runs that hang.
    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() || is_so(self), "ended before {what}: {ended:?}\n{}", self.said());
            assert!(start.elapsed() < Duration::from_secs(120), "not {what} after two minutes\n{}", self.said());
            sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the first tensor is in the temporary file of this folder: the run is in the midst of it.
    #[track_caller]
    fn until_it_writes(&mut self, folder: &str) {
        self.until("writing", |_| {
            let temporary = |name: &str| name.starts_with(".lopper-") && !name.starts_with(".lopper-report-");
            let Some(name) = names(folder).into_iter().find(|name| temporary(name)) else { return false };
            let Ok(file) = File::open(Path::new(folder).join(name).join("0")) else { return false };
            let (mut length, mut last) = ([0; 8], [0; 4]);
            let end = |length| 8 + u64::from_le_bytes(length) + 4 * ONES as u64;
            file.read_exact_at(&mut length, 0).is_ok()
                && file.read_exact_at(&mut last, end(length) - 4).is_ok()
                && last == 1f32.to_le_bytes()
        });
    }

    #[track_caller]
    fn signal(&self, signal: &str) {
        // The shell's own: not every machine has the program.
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the end, which must be exit code 1 and these words.
    #[track_caller]
    fn ends(mut self, says: &str) {
        let mut code = None;
        let start = Instant::now();
        while code.is_none() {
            code = self.child.try_wait().unwrap();
            assert!(start.elapsed() < Duration::from_secs(120), "not stopped after two minutes\n{}", self.said());
            sleep(Duration::from_millis(1));
        }
        let said = self.said();
        assert_eq!(code.unwrap().code(), Some(1), "{said}");
        assert!(said.contains("lopper: stopping") && said.contains(says), "{said}");
    }
}

/// What is in a folder; nothing if there is none.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The folders that runs have left their work in, and all else.
fn parted(names: Vec<String>) -> (Vec<String>, Vec<String>) {
    names.into_iter().partition(|name| name.starts_with(".lopper-") && !name.starts_with(".lopper-report-"))
}

/// What changes when a file is written to. It is too large to be read.
fn state(path: &str) -> (u64, u64, i64, i64) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.len(), metadata.blocks(), metadata.mtime(), metadata.mtime_nsec())
}

#[test]
fn a_signal_stops_a_run_and_what_is_done_is_kept() {
    if !gpu() {
        return;
    }
    for signal in ["INT", "TERM"] {
        let (folder, err) = (Folder::new(), Folder::new());
        let model = folder.at("model.safetensors");
        endless(&model);
        let before = state(&model);
        let mut run = Run::start(&err, &[&model, "-o", &folder.at("out.safetensors")]);
        run.until_it_writes(&folder.at(""));
        run.signal(signal);
        run.ends("with --resume");
        let (left, names) = parted(names(&folder.at("")));
        assert_eq!((left.len(), names, state(&model)), (1, vec!["model.safetensors".to_string()], before));
    }
}

#[test]
fn a_report_goes_and_an_input_folder_is_left_alone() {
    if !gpu() {
        return;
    }
    let (folder, err) = (Folder::new(), Folder::new());
    let (input, output) = (folder.at("in"), folder.at("new/deep"));
    fs::create_dir(&input).unwrap();
    endless(&folder.at("in/model.safetensors"));
    fs::write(folder.at("in/config.json"), "{}").unwrap();
    let mut run = Run::start(&err, &[&input, "-o", &output, "--report", &folder.at("report.json")]);
    run.until_it_writes(&output);
    run.signal("TERM");
    run.ends("nothing was written");
    assert!(parted(names(&output)).1.is_empty());
    assert_eq!(names(&folder.at("")), ["in", "new"]);
    assert_eq!(names(&input), ["config.json", "model.safetensors"]);
}

/// Whether the run stops by itself before the second signal makes it, or the system delivers only one of the two, what
/// is promised is the same.
#[test]
fn a_second_signal_leaves_nothing_under_a_final_name_either() {
    if !gpu() {
        return;
    }
    let (folder, err) = (Folder::new(), Folder::new());
    let (model, output) = (folder.at("model.safetensors"), folder.at("new/out.safetensors"));
    endless(&model);
    let mut run = Run::start(&err, &[&model, "-o", &output, "--report", &folder.at("report.json")]);
    run.until_it_writes(&folder.at("new"));
    run.signal("INT");
    run.signal("TERM");
    run.ends("nothing was written");
    assert!(parted(names(&folder.at("new"))).1.is_empty());
    let here = names(&folder.at(""));
    assert!(here == ["model.safetensors"] || here == ["model.safetensors", "new"], "{here:?}");
}

/// The run has done everything but print its table, which has names in it that are larger than a pipe, and no one reads
/// it. So it is stuck, as it would be in a driver, and signals are handled all the same.
#[test]
fn a_run_that_is_stuck_is_ended_and_what_it_finished_stays() {
    if !gpu() {
        return;
    }
    for second in [false, true] {
        let (folder, err) = (Folder::new(), Folder::new());
        let (model, output) = (folder.at("model.safetensors"), folder.at("out.safetensors"));
        let name = |i: usize| {
            format!("{}{}", ["a", "b", "c", "d", "e", "f", "g", "h"][i % 8].repeat(1 + i / 8), "é".repeat(2000))
        };
        let long: Vec<String> = (0..64).map(name).collect();
        let long = long.iter().map(|name| (name.as_str(), &[1][..]));
        checkpoint(&model, &[("ones", &[64, 64][..])].into_iter().chain(long).collect::<Vec<_>>());
        let mut run = Run::start(&err, &[&model, "-o", &output, "--report", &folder.at("report.json")]);
        run.until("done", |_| Path::new(&folder.at("report.json")).exists());
        run.signal("TERM");
        if second {
            run.until("stopping", |run| run.said().contains("lopper: stopping"));
            run.signal("TERM");
        }
        run.ends("the pruned checkpoint was written");
        assert_eq!(names(&folder.at("")), ["model.safetensors", "out.safetensors", "report.json"]);
        lopper(&["verify", &model, &output]).works();
    }
}

/// A benchmark of more products than anyone has time for.
#[cfg(target_os = "linux")]
#[test]
fn a_benchmark_that_is_stopped_tells_what_it_has_measured() {
    if !gpu() {
        return;
    }
    let (folder, err) = (Folder::new(), Folder::new());
    let json = folder.at("bench.json");
    let all = |n: u32, of: &dyn Fn(u32) -> String| (0..n).map(of).collect::<Vec<_>>().join(",");
    let (sparsities, batches) = (all(999, &|n| format!("0.{n:03}")), all(64, &|n| (n + 1).to_string()));
    let asked = ["--shape", "64x64", "--sparsity", &sparsities, "--batch", &batches, "--time", "86400"];
    let mut run = Run::begin(&err, &[&["bench", "--json", &json], &asked[..]].concat());
    run.until("listening for signals", |run| {
        let status = fs::read_to_string(format!("/proc/{}/status", run.child.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).is_ok_and(|caught| caught & 1 << 1 != 0)
    });
    run.signal("INT");
    run.ends("what was measured by then is above");
    let results: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(results["stopped"], true);
    assert!(results["roofs"]["read"].as_f64().unwrap() > 0.0);
    assert_eq!(names(&folder.at("")), ["bench.json"]);
}
