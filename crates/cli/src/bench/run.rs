//! One replay on one target, by a process of its own: each begins with nothing left over from another.

use super::{Args, Target, name};
use ::replay::Root;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a replay brought.
pub struct Run {
    pub elapsed_s: f64,
    pub calls: f64,
    pub bytes: f64,
    /// It did not come out as the recording.
    pub different: bool,
    /// Times of the calls, by name.
    pub latency: BTreeMap<String, Value>,
    /// The whole report.
    pub report: Value,
}

/// A directory that is removed with all that is in it.
struct Fresh(PathBuf);

impl Drop for Fresh {
    fn drop(&mut self) {
        // Directories that the program locked do not open for an ordinary user.
        let _best = Command::new("chmod")
            .args(["-R", "u+rwX", "--"])
            .arg(&self.0)
            .stderr(Stdio::null())
            .status();
        let _best = std::fs::remove_dir_all(&self.0);
    }
}

/// Prepares, waits until that is on the disk, and replays.
pub fn once(a: &Args, trace: &Path, target: &Target) -> Result<Run> {
    let fresh = Fresh(target.dir.join(format!("reanimator-bench.{}", std::process::id())));
    let root =
        Root::fresh(&fresh.0).with_context(|| format!("cannot make {}", fresh.0.display()))?;
    ourselves(
        Command::new(exe()?)
            .args(["-q", "prepare", "--json", "--root"])
            .arg(root.path())
            .arg(trace),
    )?;
    rustix::fs::sync();
    if a.cold {
        std::fs::write("/proc/sys/vm/drop_caches", "3").context(
            "--cold cannot drop the page cache (/proc/sys/vm/drop_caches): it wants root",
        )?;
    }
    let (order, pace, verify) = (name(&a.order), a.pace.to_string(), name(&a.verify));
    let options = [
        "-q",
        "replay",
        "--json",
        "--timing",
        "--prepared",
        "--order",
        &order,
        "--pace",
        &pace,
        "--verify",
        &verify,
        "--root",
    ];
    let trust = a.trust.then_some("--trust");
    let report =
        ourselves(Command::new(exe()?).args(options).arg(root.path()).args(trust).arg(trace))?;
    let number = |name: &str| report[name].as_f64().unwrap_or(0.0);
    Ok(Run {
        elapsed_s: number("elapsed_s"),
        calls: number("issued"),
        bytes: number("moved_bytes"),
        different: number("divergences") > 0.0 || report["state"]["different"].as_u64() != Some(0),
        latency: report["latency"]
            .as_object()
            .map(|o| o.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
            .unwrap_or_default(),
        report,
    })
}

fn exe() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find this program")
}

/// What `reanimator` prints.
fn ourselves(command: &mut Command) -> Result<Value> {
    let output = command.stdin(Stdio::null()).output().context("cannot run this program again")?;
    match serde_json::from_slice(&output.stdout) {
        Ok(report) if matches!(output.status.code(), Some(0 | 1)) => Ok(report),
        _ => bail!(
            "{}",
            String::from_utf8_lossy(&output.stderr).trim_start_matches("error: ").trim_end()
        ),
    }
}
