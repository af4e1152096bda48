//! Runs the program on mutants, and says what must not be.

use super::{Corpus, make};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, UsageWho, getrusage, setrlimit};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A command may take so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long if it did not get the processor: the machine may be busy.
const SECOND_PATIENCE: Duration = Duration::from_secs(60);
/// And so much memory, KiB.
const MEMORY: i64 = 1 << 20;
/// What all files of a mutant may take.
const DISK: &str = "size=2g";
/// What a replay may fill.
const ROOT: &str = "size=64m";

/// How commands ended: by kind of mutant, command and status.
#[derive(Default)]
pub struct Tally(pub BTreeMap<String, u64>);

impl Tally {
    /// Adds what a line of [`std::fmt::Display`] says.
    pub fn add(&mut self, line: &str) {
        if let Some((what, n)) = line.rsplit_once(' ') {
            *self.0.entry(what.to_owned()).or_default() += n.parse::<u64>().unwrap_or(0);
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(what, n)| writeln!(f, "{what} {n}"))
    }
}

/// Where mutants are made and judged.
pub struct Judge {
    program: PathBuf,
    corpus: Corpus,
    top: PathBuf,
    /// We may mount: replays fill a small file system of their own.
    mounts: bool,
    before: String,
    memory: i64,
}

impl Judge {
    /// In `top`, with the corpus that is there. Moves this process into a mount namespace of its
    /// own if it may.
    pub fn new(program: &Path, top: &Path) -> Self {
        let none: Option<&str> = None;
        let mounts = unshare(CloneFlags::CLONE_NEWNS).is_ok()
            && mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).is_ok();
        let _best = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        for name in ["mutant", "root"] {
            fs::create_dir_all(top.join(name)).expect("the directory is writable");
        }
        let corpus = Corpus::load(top);
        let this = Self {
            program: program.to_owned(),
            corpus,
            before: outside(top),
            top: top.to_owned(),
            mounts,
            memory: most_memory(),
        };
        this.fresh("mutant", DISK);
        this
    }

    /// An empty directory, on a file system of its own if possible.
    fn fresh(&self, name: &str, size: &str) -> PathBuf {
        let path = self.top.join(name);
        if self.mounts {
            let _none = umount2(&path, MntFlags::MNT_DETACH);
            let kind = Some("tmpfs");
            mount(kind, &path, kind, MsFlags::empty(), Some(size)).expect("tmpfs can be mounted");
        } else {
            let _best = Command::new("chmod").args(["-R", "u+rwX"]).arg(&path).status();
            let _none = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).expect("the directory is writable");
        }
        path
    }

    /// Makes mutant `seed` and runs what reads it. `Err`: what must not be, for people.
    pub fn one(&mut self, seed: u64, tally: &mut Tally) -> Result<(), String> {
        let at = self.fresh("mutant", DISK);
        let root = self.fresh("root", ROOT).join("r");
        let mut mutant = make(&self.corpus, seed, &at);
        for line in mutant.commands(&root) {
            let status = self.command(&line).map_err(|why| {
                let line: Vec<_> = line.iter().map(|w| w.to_string_lossy()).collect();
                format!("mutant {seed} of {}: {}: {why}", mutant.name, line.join(" "))
            })?;
            let verb = line[1].to_string_lossy();
            *tally.0.entry(format!("{:?} {verb} {status}", mutant.kind)).or_default() += 1;
            if status != 0 {
                break;
            }
        }
        Ok(())
    }

    fn command(&mut self, line: &[OsString]) -> Result<i32, String> {
        let (status, said) = match self.run(line, PATIENCE)? {
            Some(ended) => ended,
            None => self.run(line, SECOND_PATIENCE)?.ok_or("it does not end")?,
        };
        let most = most_memory();
        if most > MEMORY && most > self.memory {
            self.memory = most;
            return Err(format!("it took {most} KiB"));
        }
        if said.contains("panicked") || said.contains("overflowed") {
            return Err(format!("it panicked: {said}"));
        }
        let now = outside(&self.top);
        if now != self.before {
            return Err(format!("it changed what is outside:\n{}\nwas\n{now}", self.before));
        }
        match status.code() {
            Some(code @ 0..=2) => Ok(code),
            _ => Err(format!("it ended with {status} (signal {:?}): {said}", status.signal())),
        }
    }

    /// How it ended and what it said; `None`: it did not, and was not at work all the time.
    fn run(
        &self,
        line: &[OsString],
        patience: Duration,
    ) -> Result<Option<(std::process::ExitStatus, String)>, String> {
        let mut child = Command::new(&self.program)
            .args(line)
            .current_dir(&self.top)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot run {}: {e}", self.program.display()))?;
        let mut stderr = child.stderr.take().expect("it is piped");
        let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).expect("it is short");
            let mut fds = [PollFd::new(&stderr, PollFlags::IN)];
            if poll(&mut fds, Some(&left)).is_ok_and(|n| n == 0) {
                let worked = processor_time(child.id());
                let _gone = (child.kill(), child.wait());
                let busy = worked > PATIENCE / 2;
                return if busy { Err(format!("it worked for {worked:?}")) } else { Ok(None) };
            }
            match stderr.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) if said.len() < 1 << 16 => said.extend_from_slice(&buffer[..n]),
                Ok(_) => {}
                Err(e) => return Err(format!("cannot hear it: {e}")),
            }
        }
        let status = child.wait().map_err(|e| format!("cannot wait for it: {e}"))?;
        Ok(Some((status, String::from_utf8_lossy(&said).into_owned())))
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        for name in ["mutant", "root"] {
            let _none = umount2(&self.top.join(name), MntFlags::MNT_DETACH);
        }
    }
}

/// What a process has used of the processor.
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The most memory that a child of ours has had, KiB.
fn most_memory() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| usage.max_rss())
}

/// What no command may change: the files that the corpus was made of, and others beside them.
fn outside(top: &Path) -> String {
    let mut lines = Vec::new();
    let mut stack = vec![top.join("outside"), top.join("work")];
    while let Some(path) = stack.pop() {
        let Ok(stat) = path.symlink_metadata() else { continue };
        lines.push(format!(
            "{} {:o} {} {} {}.{}",
            path.display(),
            stat.mode(),
            stat.uid(),
            stat.len(),
            stat.ctime(),
            stat.ctime_nsec()
        ));
        if stat.is_dir() {
            stack.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|e| e.path()));
        }
    }
    lines.sort();
    lines.join("\n")
}
