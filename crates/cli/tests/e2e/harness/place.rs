//! A place of its own for each test: where the program works, where its trace goes, where it is
//! performed again.

use crate::harness::run::{Ran, run, start, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program under test.
pub const REANIMATOR: &str = env!("CARGO_BIN_EXE_reanimator");

/// The recorder has begun to write: whatever it joined is watched.
pub fn has_begun(trace: &Path) -> bool {
    let written = |dir: fs::ReadDir| {
        dir.filter_map(Result::ok).any(|e| {
            e.file_name() != trace::journal::COMPLETE && e.metadata().is_ok_and(|m| m.len() > 0)
        })
    };
    fs::read_dir(trace.join("journal")).is_ok_and(written)
}

/// The user that a program runs as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum User {
    /// The user that runs the tests.
    Me,
    /// One without privileges: `nobody` when the tests run as root.
    Ordinary,
}

/// How a program is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watch {
    Ptrace,
    /// The eBPF engine, copying as this kernel can.
    Ebpf,
    /// The eBPF engine, copying as older kernels can.
    Chunked,
}

impl Watch {
    pub const ALL: [Self; 3] = [Self::Ebpf, Self::Chunked, Self::Ptrace];
    pub const fn engine(self) -> &'static str {
        match self {
            Self::Ptrace => "ptrace",
            Self::Ebpf | Self::Chunked => "ebpf",
        }
    }
}

const NOBODY: u32 = 65534;

/// A directory that goes away with the test.
pub struct Place {
    top: tempfile::TempDir,
    user: User,
    pub watch: Watch,
    reanimator: PathBuf,
}

impl Place {
    /// An empty place, where programs run as `user`.
    pub fn of(user: User) -> Self {
        let top = tempfile::Builder::new().prefix("reanimator-e2e-").tempdir_in("/tmp").unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut place =
            Self { top, user, watch: Watch::Ptrace, reanimator: PathBuf::from(REANIMATOR) };
        if place.switches() {
            // The build directory may be out of an ordinary user's reach.
            place.reanimator = place.path("reanimator");
            fs::copy(REANIMATOR, &place.reanimator).unwrap();
        }
        place.directory("work");
        place.directory("traces");
        place
    }
    /// An empty place, where programs run as we do.
    pub fn new() -> Self {
        Self::of(User::Me)
    }
    /// Runs a test once for each way of watching, each in an empty place.
    pub fn each(test: impl Fn(Self)) {
        for watch in Watch::ALL {
            eprintln!("watched by {watch:?}");
            test(Self::watched_by(watch));
        }
    }
    /// An empty place with this way of watching.
    pub fn watched_by(watch: Watch) -> Self {
        let mut place = Self::new();
        place.watch = watch;
        place
    }
    /// A name in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }
    /// Where the program works.
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }
    /// Where a trace goes.
    pub fn trace(&self, name: &str) -> PathBuf {
        self.path("traces").join(format!("{name}.ra"))
    }
    /// A new directory of the user that programs run as.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        if self.switches() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        path
    }
    /// Writes a file that programs read from outside their directory.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
    fn switches(&self) -> bool {
        self.user == User::Ordinary && nix::unistd::Uid::effective().is_root()
    }
    /// A command that runs in the work directory with a small, fixed environment.
    pub fn command<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Command {
        let mut argv = argv.into_iter();
        let mut command = if self.switches() {
            let mut c = Command::new("/usr/bin/setpriv");
            c.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
            c
        } else {
            Command::new(argv.next().expect("a command has a name"))
        };
        command.args(argv);
        self.settings(command)
    }
    fn settings(&self, mut command: Command) -> Command {
        command.current_dir(self.work()).stdin(Stdio::null()).env_clear();
        command
            .envs([
                ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"),
                ("LC_ALL", "C"),
                ("TZ", "UTC"),
                ("USER", "someone"),
            ])
            .env("HOME", self.work());
        command
    }
    /// `reanimator ARG..`, as the user that programs run as.
    pub fn reanimator<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command([self.reanimator.as_os_str()]);
        command.args(args);
        command
    }
    /// `reanimator -q record -o TRACE OPTION.. -- ARG..`
    pub fn record<S: AsRef<OsStr>>(
        &self,
        trace: &Path,
        options: &[&str],
        argv: impl IntoIterator<Item = S>,
    ) -> Command {
        // The kernel takes programs from root only; the command then runs as under sudo.
        let sudo = self.switches() && self.watch != Watch::Ptrace;
        let mut command = if sudo {
            self.settings(Command::new(&self.reanimator))
        } else {
            self.reanimator::<&str>([])
        };
        if sudo {
            command.envs([("SUDO_UID", "65534"), ("SUDO_GID", "65534"), ("SUDO_USER", "nobody")]);
        }
        self.watching(&mut command, trace).args(options).arg("--").args(argv);
        command
    }
    /// `reanimator -q record -o TRACE -p PID`
    pub fn attach(&self, trace: &Path, pid: u32) -> Command {
        let mut command = self.reanimator::<&str>([]);
        self.watching(&mut command, trace).args(["-p", &pid.to_string()]);
        command
    }
    fn watching<'c>(&self, command: &'c mut Command, trace: &Path) -> &'c mut Command {
        if self.watch == Watch::Chunked {
            command.env("REANIMATOR_BPF", "chunked");
        }
        command.args(["-q", "record", "--engine", self.watch.engine(), "-o"]).arg(trace)
    }
    /// What `reanimator info --json` says.
    #[track_caller]
    pub fn info(&self, trace: &Path) -> Value {
        let ran = run(self.reanimator(["info", "--json"]).arg(trace)).ok("info");
        serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|e| panic!("info --json: {e}: {}", ran.stdout))
    }
    /// Performs the trace in the empty directory `root`.
    #[track_caller]
    pub fn replay(&self, trace: &Path, root: &Path) -> (Ran, Value) {
        self.replay_with(trace, root, &[])
    }
    /// The same with options.
    #[track_caller]
    pub fn replay_with(&self, trace: &Path, root: &Path, options: &[&str]) -> (Ran, Value) {
        let ran = run(self
            .reanimator(["replay", "--json", "--show", "1000"])
            .args(options)
            .arg("--root")
            .arg(root)
            .arg(trace));
        let report = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|e| panic!("replay --json: {e}: {ran:?}"));
        (ran, report)
    }
    /// The calls of `reanimator print --format json`.
    #[track_caller]
    pub fn rows(&self, trace: &Path, options: &[&str]) -> Vec<Value> {
        let ran = run(self.reanimator(["print", "--format", "json"]).args(options).arg(trace))
            .ok("print");
        ran.stdout
            .lines()
            .map(|l| {
                serde_json::from_str(l).unwrap_or_else(|e| panic!("print --format json: {e}: {l}"))
            })
            .filter(|row: &Value| row["call"].is_string())
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that fails ends before it has ended what it started.
        if std::thread::panicking() {
            end_all_within(self.top.path());
        }
        // Directories that their owner locked must open again before they can be removed.
        let _best = Command::new("chmod")
            .args(["-R", "u+rwX"])
            .arg(self.top.path())
            .stderr(Stdio::null())
            .status();
    }
}

/// Kills the processes that work below a directory, and those that these make meanwhile.
fn end_all_within(dir: &Path) {
    let within =
        |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
    for _ in 0..100 {
        let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
        let pids = names.filter_map(|name| name.to_str()?.parse().ok());
        let found: Vec<i32> = pids.filter(within).collect();
        if found.is_empty() {
            break;
        }
        for pid in found {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_test_that_fails_ends_what_it_started() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let failing = std::thread::spawn(move || {
        let place = Place::new();
        let script = "while :; do : > up; sleep 0.01; done";
        let looping = start(&mut place.command(["/bin/dash", "-c", script]));
        wait_for("the loop", || place.work().join("up").exists());
        sender.send(looping).unwrap();
        panic!("this panic is part of the test");
    });
    assert!(failing.join().is_err());
    let mut looping = receiver.recv().unwrap();
    assert_eq!(looping.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
}

/// Where the cgroup v2 tree is mounted.
pub fn all_cgroups() -> &'static Path {
    Path::new(if Path::new("/sys/fs/cgroup/unified").exists() {
        "/sys/fs/cgroup/unified"
    } else {
        "/sys/fs/cgroup"
    })
}

/// Our own directory in it.
pub fn cgroups() -> PathBuf {
    let top = all_cgroups();
    let ours = fs::read_to_string("/proc/self/cgroup").unwrap();
    top.join(ours.lines().find_map(|l| l.strip_prefix("0::/")).expect("this test wants cgroup v2"))
}

/// A number in a report.
#[track_caller]
pub fn number(report: &Value, name: &str) -> u64 {
    let value = name.split('.').try_fold(report, |v, key| v.get(key));
    value.and_then(Value::as_u64).unwrap_or_else(|| panic!("no number {name} in {report}"))
}
