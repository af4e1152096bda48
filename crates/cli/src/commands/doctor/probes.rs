//! The checks. Each does, on a small scale, what recording or replaying will do.

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::{getegid, geteuid};
use std::fs;
use std::io::{BufRead, BufReader, IoSliceMut, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The result of one check.
#[derive(Debug)]
pub struct Finding {
    /// What was checked.
    pub check: &'static str,
    /// Whether it works.
    pub found: Found,
    /// A line that explains the result.
    pub says: String,
    /// What to do about it, if it does not work.
    pub mend: Option<String>,
}

/// Whether something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It works.
    Ok,
    /// Something does not work that most people can do without.
    Limited,
    /// Recording or replaying does not work.
    Broken,
}

impl Found {
    /// Returns the word for the table and for JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Broken => "broken",
        }
    }
}

/// What a child process of `doctor` tries.
#[derive(clap::ValueEnum, Debug, Clone, Copy)]
pub enum Probe {
    /// Prints the address of a known text, and waits for the end of its input.
    Wait,
    /// Makes a user and a mount namespace, as replay does for ordinary users.
    User,
    /// Makes a mount namespace, as replay does for root.
    Mount,
    /// Confines itself with Landlock and tries to break out.
    Landlock,
}

const TEXT: &[u8; 32] = b"reanimator reads this from afar\n";

/// Tries what `probe` names. It runs in a child process of `doctor`, which it may change
/// irrevocably. An error says what does not work.
pub fn run_probe(probe: Probe) -> Result<()> {
    match probe {
        Probe::Wait => {
            let text = std::hint::black_box(*TEXT);
            println!("{}", &raw const text as usize);
            std::io::stdin().read_to_end(&mut Vec::new())?;
            std::hint::black_box(&text);
            Ok(())
        }
        Probe::User => {
            let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).context("unshare")?;
            fs::write("/proc/self/setgroups", "deny").context("/proc/self/setgroups")?;
            fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))
                .context("/proc/self/uid_map")?;
            fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
                .context("/proc/self/gid_map")?;
            make_private()
        }
        Probe::Mount => {
            unshare(CloneFlags::CLONE_NEWNS).context("unshare")?;
            make_private()
        }
        Probe::Landlock => confine(),
    }
}

/// Makes all mounts of this mount namespace private, as a replay does.
fn make_private() -> Result<()> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .context("cannot make mounts private")
}

/// Confines this process with Landlock, as a replay does, and checks that it cannot list `/` any
/// more.
fn confine() -> Result<()> {
    use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
    let handled = AccessFs::from_all(ABI::V1);
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(handled)?
        .create()?;
    rules.restrict_self()?;
    ensure!(fs::read_dir("/").is_err(), "a confined child could leave its directory");
    Ok(())
}

/// Makes all checks, in the order in which a recording and its replay need them.
pub fn run_checks() -> Vec<Finding> {
    let mut findings = vec![check_kernel(), check_ebpf()];
    findings.extend(check_ptrace());
    findings.extend([
        check_attach(),
        check_namespaces(),
        check_landlock(),
        check_open_files(),
        check_disk(),
        check_tracefs(),
    ]);
    findings
}

/// Returns the finding that `check` works.
fn ok(check: &'static str, says: impl Into<String>) -> Finding {
    Finding { check, found: Found::Ok, says: says.into(), mend: None }
}
/// Returns the finding that `check` works only in part; `mend` says how to fix that.
fn limited(check: &'static str, says: String, mend: &str) -> Finding {
    Finding { check, found: Found::Limited, says, mend: Some(mend.to_owned()) }
}
/// Returns the finding that `check` does not work; `mend` says how to fix that.
fn broken(check: &'static str, says: String, mend: &str) -> Finding {
    Finding { check, found: Found::Broken, says, mend: Some(mend.to_owned()) }
}
/// Returns an error's message with its causes.
fn cause(error: &anyhow::Error) -> String {
    crate::messages::failure::error_text(error)
}

/// Checks the machine type and the version of the kernel.
fn check_kernel() -> Finding {
    const CHECK: &str = "kernel";
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let machine = uname.machine().to_string_lossy().into_owned();
    if machine != "x86_64" {
        return broken(
            CHECK,
            format!("{machine}: only x86-64 can be recorded"),
            "use an x86-64 machine",
        );
    }
    if version < (5, 3) {
        return broken(
            CHECK,
            format!("Linux {release} has no PTRACE_GET_SYSCALL_INFO"),
            "boot Linux 5.3 or later",
        );
    }
    ok(CHECK, format!("Linux {release} on {machine}"))
}

/// Checks whether eBPF can be used, by loading the real program into the kernel.
fn check_ebpf() -> Finding {
    const CHECK: &str = "record: eBPF";
    match capture::check_ebpf() {
        Ok(path) => ok(CHECK, format!("works, with {path}")),
        Err(e @ capture::Error::EbpfUnavailable { hint: Some(mend), .. }) => limited(
            CHECK,
            format!("{}; `record` uses ptrace instead", crate::messages::failure::causes(&e)),
            mend,
        ),
        Err(e) if geteuid().is_root() => limited(
            CHECK,
            format!("{}; `record` uses ptrace instead", crate::messages::failure::causes(&e)),
            "use a kernel with CONFIG_DEBUG_INFO_BTF (6.1, 6.12 and 6.18 were tested); in a \
             container: docker run --privileged",
        ),
        Err(e) => limited(
            CHECK,
            format!("{}; `record` uses ptrace instead", crate::messages::failure::causes(&e)),
            "sudo reanimator record ... (the command runs as you)",
        ),
    }
}

/// Starts this program as a child process that tries the probe of this name. Its three standard
/// streams are pipes.
fn spawn_probe(probe: &str) -> Result<Child> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(this);
    command
        .args(["probe", probe])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().context("cannot start a child")
}

/// Runs a probe in a child process until it ends. Fails with the first line that the child printed
/// on stderr.
fn run_probe_child(probe: &str) -> Result<()> {
    let output = spawn_probe(probe)?.wait_with_output().context("cannot wait for a child")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or("it printed nothing");
        bail!("{}", first.strip_prefix("error: ").unwrap_or(first));
    }
    Ok(())
}

/// Checks on a child process whether ptrace works, and whether its memory can be read.
fn check_ptrace() -> [Finding; 2] {
    const SEIZE: &str = "record: ptrace";
    const READ: &str = "record: read process memory";
    const MEND: &str = "in a container: docker run --cap-add SYS_PTRACE --security-opt \
        seccomp=unconfined; else: sysctl kernel.yama.ptrace_scope=1";
    let mut child = match spawn_probe("wait") {
        Ok(child) => child,
        Err(e) => {
            return [
                broken(SEIZE, cause(&e), "make this program's file executable"),
                broken(READ, "not tried".to_owned(), MEND),
            ];
        }
    };
    let pid = Pid::from_raw(child.id().cast_signed());
    let read = child.stdout.take().context("no pipe").and_then(|out| read_memory(pid, out));
    let seized = seize(pid);
    drop(child.stdin.take());
    let ended = child.wait().context("cannot wait for it").and_then(|status| {
        ensure!(status.success(), "it ended with {status} afterwards");
        Ok(())
    });
    [
        match seized.and(ended) {
            Ok(()) => ok(SEIZE, "stopped a child at a system call"),
            Err(e) => broken(SEIZE, cause(&e), MEND),
        },
        match read {
            Ok(()) => ok(READ, "process_vm_readv read the right bytes"),
            Err(e) => broken(READ, cause(&e), MEND),
        },
    ]
}

/// Reads the text whose address the child `pid` prints, with process_vm_readv(2). Fails if the
/// bytes are not the expected ones.
fn read_memory(pid: Pid, out: ChildStdout) -> Result<()> {
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).context("it printed nothing")?;
    let base = line.trim().parse().context("it printed no address")?;
    let mut bytes = [0; TEXT.len()];
    let remote = [RemoteIoVec { base, len: bytes.len() }];
    process_vm_readv(pid, &mut [IoSliceMut::new(&mut bytes)], &remote)
        .context("process_vm_readv")?;
    ensure!(&bytes == TEXT, "process_vm_readv returned wrong bytes");
    Ok(())
}

/// Seizes the process, stops it at a system call, reads its registers, and detaches.
fn seize(pid: Pid) -> Result<()> {
    ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD).context("PTRACE_SEIZE")?;
    ptrace::interrupt(pid).context("PTRACE_INTERRUPT")?;
    wait_for_stop(pid)?;
    ptrace::syscall(pid, None).context("PTRACE_SYSCALL")?;
    let status = wait_for_stop(pid)?;
    ensure!(
        matches!(status, WaitStatus::PtraceSyscall(_)),
        "expected a system call, got {status:?}"
    );
    ptrace::syscall_info(pid).context("PTRACE_GET_SYSCALL_INFO")?;
    ptrace::detach(pid, None).context("PTRACE_DETACH")
}

/// Waits until the process stops. Fails if it ended instead.
fn wait_for_stop(pid: Pid) -> Result<WaitStatus> {
    let status = waitpid(pid, Some(WaitPidFlag::__WALL)).context("waitpid")?;
    ensure!(!matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)), "it died");
    Ok(status)
}

/// Checks whether Yama's `ptrace_scope` lets `record -p` attach to running processes.
fn check_attach() -> Finding {
    const CHECK: &str = "record -p: attach to processes";
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
        .ok()
        .and_then(|t| t.trim().parse::<u32>().ok())
        .unwrap_or(0);
    match scope {
        0 => ok(CHECK, "your own processes"),
        1 | 2 if geteuid().is_root() => {
            ok(CHECK, format!("all processes, as root (ptrace_scope is {scope})"))
        }
        1 | 2 => limited(
            CHECK,
            format!("only as root (ptrace_scope is {scope})"),
            "sudo sysctl kernel.yama.ptrace_scope=0",
        ),
        _ => limited(
            CHECK,
            format!("not possible (ptrace_scope is {scope})"),
            "remove kernel.yama.ptrace_scope from /etc/sysctl.d and reboot",
        ),
    }
}

/// Checks whether a mount namespace can be created, as ordinary user also a user namespace.
fn check_namespaces() -> Finding {
    const CHECK: &str = "replay: mount namespace";
    if geteuid().is_root() {
        return match run_probe_child("mount") {
            Ok(()) => ok(CHECK, "created a mount namespace"),
            Err(e) => broken(
                CHECK,
                cause(&e),
                "in a container: docker run --cap-add SYS_ADMIN --security-opt apparmor=unconfined",
            ),
        };
    }
    let Err(e) = run_probe_child("user") else {
        return ok(CHECK, "created user and mount namespaces");
    };
    let on = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|t| t.trim() == value);
    let mend = if on("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else if on("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "sudo sysctl kernel.unprivileged_userns_clone=1"
    } else if on("/proc/sys/user/max_user_namespaces", "0") {
        "sudo sysctl user.max_user_namespaces=10000"
    } else {
        "replay as root; in a container: docker run --security-opt seccomp=unconfined"
    };
    broken(CHECK, cause(&e), mend)
}

/// Checks whether Landlock confines a process.
fn check_landlock() -> Finding {
    const CHECK: &str = "replay: Landlock";
    match run_probe_child("landlock") {
        Ok(()) => ok(CHECK, "confined a child to its directory"),
        Err(e) => limited(
            CHECK,
            format!("{}; only the mount namespace confines replay", cause(&e)),
            "add landlock to the kernel's lsm= parameter (GRUB_CMDLINE_LINUX=\"lsm=landlock,...\") \
                and reboot",
        ),
    }
}

/// Checks whether the hard limit of open files is high enough for replays.
fn check_open_files() -> Finding {
    const CHECK: &str = "replay: open files";
    let hard =
        rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if hard < 4096 {
        let says = format!("at most {hard}; replaying many processes needs more");
        return limited(CHECK, says, "ulimit -Hn 65536 (as root), or LimitNOFILE= of the service");
    }
    ok(CHECK, format!("up to {}", crate::output::units::format_count(hard)))
}

/// Checks whether the current directory is writable and has some free space.
fn check_disk() -> Finding {
    const CHECK: &str = "disk: traces here";
    let written = (|| {
        let name = format!(".reanimator-doctor-{}", std::process::id());
        let mut file =
            fs::File::create_new(&name).context("cannot write into the current directory")?;
        let result = file.write_all(&[1; 4096]).and_then(|()| file.sync_all());
        fs::remove_file(&name).context("cannot remove the test file")?;
        result.context("cannot write into the current directory")?;
        let space = rustix::fs::statvfs(".").context("statvfs")?;
        Ok(space.f_bavail * space.f_frsize)
    })();
    match written {
        Err(e) => {
            broken(CHECK, cause(&e), "change to a writable directory, or choose one with record -o")
        }
        Ok(free) if free < 1 << 30 => limited(
            CHECK,
            format!("only {} are free", crate::output::units::format_bytes(free)),
            "free some space, or choose another disk with record -o",
        ),
        Ok(free) => ok(CHECK, format!("{} are free", crate::output::units::format_bytes(free))),
    }
}

/// Checks whether the test that compares the table of system calls with the kernel can read
/// tracefs.
fn check_tracefs() -> Finding {
    const CHECK: &str = "tests: tracefs";
    match fs::read_dir("/sys/kernel/tracing/events/syscalls") {
        Ok(entries) => ok(CHECK, format!("{} events of system calls", entries.count())),
        Err(e) => {
            let says = format!(
                "{}; only the test of the table against the kernel needs it",
                cause(&e.into())
            );
            limited(
                CHECK,
                says,
                "sudo mount -t tracefs tracefs /sys/kernel/tracing, and run the tests as root",
            )
        }
    }
}
