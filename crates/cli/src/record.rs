//! `reanimator record`: run a program, or join one, and write what it does into a trace.

use crate::failure::{self, Advise};
use crate::filter::{self, Filter, Status};
use crate::outcome::Outcome;
use crate::talk::Talk;
use crate::units::{bytes, count, counted, duration, parse_bytes};
use crate::{naming, reading, sudo, talk};
use anyhow::{Context, Result, bail};
use capture::{Begun, DataLimit, Listening, Outcomes, Wanted};
use clap::ValueHint;
use model::Model;
use std::ffi::OsString;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trace::{About, Recording, Summary, Verdict};

/// Run a command, or attach to processes, and record system calls with their data
///
/// Child processes are recorded too. The command keeps its input and output. `record` ends with the
/// command's exit status, or dies of the same signal; it ends with 125 if recording failed, 126 if
/// the command cannot be executed, and 127 if the command is not found.
///
/// Ctrl-C goes to the command, and the trace is finished when the command ends. A second Ctrl-C
/// stops recording at once and leaves the command running. With -p, -a and -G the first Ctrl-C
/// stops recording.
///
/// Under sudo the command runs as the user who called sudo, and that user owns the trace. A trace
/// holds all data that the command read and wrote: only its owner can read it.
#[derive(clap::Args, Debug)]
#[command(override_usage = "\
reanimator record [OPTIONS] [--] <COMMAND> [ARG]...
       reanimator record [OPTIONS] -p <PID>...
       reanimator record [OPTIONS] -a | -G <DIR>")]
#[command(after_help = "\
Examples:
  reanimator record -- make -j4
      Record to make.ra, or to make.1.ra if that exists
  reanimator record -o t.ra sqlite3 app.db
      Choose the trace's name
  reanimator record -p 4711
      Attach to a running process; Ctrl-C stops recording and leaves it running
  sudo reanimator record -a -o all.ra
      Record every process of the machine until Ctrl-C
  reanimator record -e %replay -- ./server
      Record only what replay needs, which costs less
  reanimator record -e '!futex' -- ./server
      Record all calls but futex
  reanimator record --snapshot -- ./server
      Keep whole copies of the files that were opened
  reanimator record --data 64 -- ./server
      Keep 64 bytes of each buffer; such a trace cannot be replayed")]
pub struct Args {
    /// The trace to write [default: COMMAND.ra, or COMMAND.1.ra, ...]
    #[arg(short, long, value_name = "TRACE")]
    pub output: Option<PathBuf>,
    /// Record only these calls: names, %group, /regex, !set, status=failed (eBPF)
    #[arg(short = 'e', value_name = "EXPR", long_help = filter::help(
        "Record only the calls that EXPR selects",
        "status=failed (or successful, unfinished) selects by outcome (eBPF). "
    ))]
    pub filter: Vec<String>,
    /// Attach to this process; may be given several times
    #[arg(short = 'p', value_name = "PID", conflicts_with = "command", value_parser = process_id)]
    pub pid: Vec<u32>,
    /// Record every process of the machine until Ctrl-C (eBPF)
    #[arg(short = 'a', long = "all", conflicts_with_all = ["command", "pid", "cgroup"])]
    pub all: bool,
    /// Record every process of this cgroup v2 directory until Ctrl-C (eBPF)
    #[arg(short = 'G', long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["command", "pid"])]
    pub cgroup: Option<PathBuf>,
    /// How to record
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// How much data to keep: all, writes, none, or N bytes of each buffer
    #[arg(long, value_name = "WHAT", default_value = "all", value_parser = data_limit)]
    pub data: DataLimit,
    /// Do not stop the command at calls that -e leaves out (ptrace)
    ///
    /// This is faster. But a seccomp filter cannot be removed: if the recorder is killed, the calls
    /// that -e selects fail with ENOSYS from then on.
    #[arg(long)]
    pub seccomp: bool,
    /// Keep whole copies of the files that were opened
    ///
    /// Without it a trace holds what was read and written. Copies are made when the command ends,
    /// also of files that it only mapped. The initial state is then whole, except for what was
    /// overwritten or removed before it was read.
    #[arg(long)]
    pub snapshot: bool,
    /// What to do when the trace cannot be written as fast as data arrive
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnFull::Block)]
    pub on_full: OnFull,
    /// Memory for calls that wait to be written, for each CPU (eBPF): a power of two, like 16M
    ///
    /// With --on-full block it is at least 8M, unless the machine has little memory. [default:
    /// depends on the machine's memory]
    #[arg(long, value_name = "SIZE", value_parser = ring_bytes)]
    pub buffer: Option<usize>,
    /// Write no more than so many bytes a second to each journal: a slow disk, for tests (eBPF)
    #[arg(long, value_name = "N", hide = true)]
    pub write_rate: Option<u64>,
    /// Seal while recording when so many bytes of journal wait; 0: not before the recording has ended, for tests
    #[arg(long, value_name = "N", hide = true)]
    pub seal_at: Option<u64>,
    /// Look at what tells of a birth so many ticks late, as on a loaded machine, for tests (ptrace)
    #[arg(long, value_name = "N", hide = true)]
    pub late_births: Option<u32>,
    /// Replace the trace if it exists
    #[arg(long)]
    pub force: bool,
    /// End with 125 if the trace is incomplete
    #[arg(long)]
    pub strict: bool,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required_unless_present_any = ["pid", "all", "cgroup"],
        value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// A way of watching a program.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// eBPF if this machine allows it, otherwise ptrace
    Auto,
    /// Programs in the kernel: fast; needs root or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE
    Ebpf,
    /// Stop the command at every call: slower, needs no privileges
    Ptrace,
}

impl Engine {
    /// The engines to try, the best first. A seccomp filter is ptrace's way of leaving calls alone; only eBPF chooses by outcome.
    fn candidates(self, seccomp: bool, in_kernel: bool) -> &'static [&'static dyn capture::Engine] {
        match self {
            Self::Ebpf => &[&capture::Ebpf],
            Self::Auto if in_kernel => &[&capture::Ebpf],
            Self::Auto if !seccomp => &[&capture::Ebpf, &capture::Ptrace],
            Self::Auto | Self::Ptrace => &[&capture::Ptrace],
        }
    }
}

/// What to do when the trace cannot be written fast enough.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Delay the command
    Block,
    /// Drop calls and count them (eBPF)
    Drop,
}

/// The least ring that any kernel takes, and the greatest that is of use.
const RING: std::ops::RangeInclusive<usize> = (256 << 10)..=(1 << 30);

fn ring_bytes(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text).and_then(|n| usize::try_from(n).ok());
    match bytes {
        Some(n) if n.is_power_of_two() && RING.contains(&n) => Ok(n),
        _ => Err("expected a power of two from 256K to 1G, like 16M".to_owned()),
    }
}

fn process_id(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(pid) if pid > 0 && i32::try_from(pid).is_ok() => Ok(pid),
        _ if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            Err("no process has this number".to_owned())
        }
        _ => Err("not a process id: `pgrep NAME` prints those of a program".to_owned()),
    }
}

fn data_limit(text: &str) -> Result<DataLimit, String> {
    Ok(match text {
        "all" => DataLimit::All,
        "writes" => DataLimit::Writes,
        "none" => DataLimit::None,
        number => DataLimit::Bytes(
            number
                .parse()
                .map_err(|_| "expected all, writes, none or a number of bytes".to_owned())?,
        ),
    })
}

/// What is recorded.
enum Target {
    Command(Box<capture::Command>),
    Processes(Vec<i32>),
    Cgroup(PathBuf),
    Machine,
}

/// `reanimator record`.
pub fn run(a: &Args, talk: &Talk) -> Outcome {
    record(a, talk).unwrap_or_else(|error| {
        let cause = error.chain().find_map(|cause| cause.downcast_ref::<capture::Error>());
        match cause {
            // Nothing ran and nothing is left: as if the signal had not been caught.
            Some(capture::Error::Interrupted { signal }) => Outcome::Signal(*signal),
            cause => {
                let status = cause.map_or(125, |e| i32::from(e.status()));
                Outcome::Failed(error, status)
            }
        }
    })
}

fn record(a: &Args, talk: &Talk) -> Result<Outcome> {
    let mut options = options(a)?;
    let caller = sudo::caller();
    let target = target(a, caller.as_ref(), talk)?;
    let path = naming::output(a.output.as_deref(), &program(&target), a.force)?;

    let joined = joined(&target);
    if let (Some(joined), true) = (joined.clone(), !talk.is_quiet()) {
        options.begun = Begun::new(move || {
            talk::say(&format!("recording {joined}; press Ctrl-C to end the recording"));
        });
    }
    let listening = match &target {
        Target::Command(_) => Listening::with_command(),
        _ => Listening::alone(),
    };
    let (engine, recording, watched) = watch(a, &target, &options, &path, talk)?;
    drop(listening);
    // Its name may lead elsewhere by the time that it is sealed.
    let dir = recording.as_fd().try_clone_to_owned().context("cannot open the trace")?;
    let summary = seal(recording, &watched, &path, talk)?;
    if let Some(caller) = &caller
        && let Err(error) = caller.own(&dir, &path)
    {
        talk.warn(failure::text(&error));
    }
    drop(dir);
    if let Some(line) = ending(&target, joined.as_deref(), &watched) {
        talk.say(line);
    }
    close(&path, engine.name(), &summary, &watched, talk);
    Ok(match watched.end {
        _ if a.strict && summary.verdict == Verdict::Incomplete => Outcome::Status(125),
        // How a program ends that was not started by us is not how we end.
        _ if a.command.is_empty() => Outcome::Status(0),
        capture::End::Exited(status) => Outcome::Status(status),
        capture::End::Signaled(signal) => Outcome::Signal(signal),
        capture::End::Running => Outcome::Status(0),
    })
}

fn options(a: &Args) -> Result<capture::Options> {
    let filter = Filter::parse(&a.filter)?;
    if filter.needs_paths() {
        let refused: Result<()> = Err(anyhow::anyhow!("record cannot select by path="));
        refused.advise(
            "record all calls, and select when printing: reanimator print -e 'path=GLOB'",
        )?;
    }
    if a.seccomp && filter.has_all_numbers() {
        bail!("--seccomp needs -e: without it no call is left out");
    }
    let wanted = Wanted::new(|number| filter.has_number(number));
    let outcomes = Outcomes {
        successful: filter.has_status(Status::Successful),
        failed: filter.has_status(Status::Failed),
        unfinished: filter.has_status(Status::Unfinished),
    };
    if outcomes != Outcomes::ALL && (a.engine == Engine::Ptrace || a.seccomp) {
        let refused: Result<()> =
            Err(anyhow::anyhow!("only eBPF can select by status=, not ptrace"));
        refused.advise(
            "record all calls, and select when printing: reanimator print -e status=failed",
        )?;
    }
    Ok(capture::Options {
        data: a.data,
        wanted,
        outcomes,
        seccomp: a.seccomp,
        ring_bytes: a.buffer,
        drops: a.on_full == OnFull::Drop,
        write_rate: a.write_rate,
        late_births: a.late_births.unwrap_or(0),
        seal_at: a.seal_at.unwrap_or(capture::Options::default().seal_at),
        begun: Begun::default(),
    })
}

/// What is joined, in words; `None`: a command is run.
fn joined(target: &Target) -> Option<String> {
    let name = |pid: i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        failure::printable(name.trim())
    };
    match target {
        Target::Command(_) => None,
        Target::Processes(pids) => match &pids[..] {
            [pid] => Some(format!("process {pid} ({})", name(*pid))),
            pids => Some(format!("{} processes", pids.len())),
        },
        Target::Cgroup(cgroup) => Some(format!("the cgroup {}", cgroup.display())),
        Target::Machine => Some("the whole machine".to_owned()),
    }
}

/// How it ended for those that were recorded.
fn ending(target: &Target, joined: Option<&str>, watched: &capture::Outcome) -> Option<String> {
    match (target, joined) {
        (Target::Processes(pids), Some(joined)) => {
            let runs = |pid: &&i32| Path::new(&format!("/proc/{pid}")).exists();
            let left = pids.iter().filter(runs).count();
            let ended = format!("{joined} {} ended", if pids.len() == 1 { "has" } else { "have" });
            Some(match left {
                _ if !watched.detached => ended,
                0 => format!("{ended}; left child processes running"),
                n if n == pids.len() => format!("left {joined} running"),
                n => format!("left {n} of {joined} running"),
            })
        }
        (Target::Command(_), _) if watched.detached => Some("left the program running".to_owned()),
        _ => None,
    }
}

/// The command, as the user who called sudo if somebody did; or the processes.
fn target(a: &Args, caller: Option<&sudo::Caller>, talk: &Talk) -> Result<Target> {
    if !a.pid.is_empty() {
        let pids = a
            .pid
            .iter()
            .map(|pid| i32::try_from(*pid).with_context(|| format!("{pid} is not a process id")));
        return Ok(Target::Processes(pids.collect::<Result<_>>()?));
    }
    if a.all {
        return Ok(Target::Machine);
    }
    if let Some(cgroup) = &a.cgroup {
        return Ok(Target::Cgroup(cgroup.clone()));
    }
    let mut command = explained(capture::Command::new(&a.command), false)?;
    if let Some(caller) = caller {
        talk.detail(format_args!(
            "running {} as user {}, who called sudo",
            command.program.display(),
            caller.uid
        ));
        command.credentials = Some(capture::Credentials {
            uid: caller.uid,
            gid: caller.gid,
            groups: caller.groups.clone(),
        });
        command.environment = Some(caller.environment());
    }
    Ok(Target::Command(Box::new(command)))
}

/// What the trace is named after.
fn program(target: &Target) -> OsString {
    match target {
        Target::Command(command) => command.argv.first().cloned().unwrap_or_default(),
        Target::Cgroup(cgroup) => cgroup.file_name().unwrap_or_default().to_owned(),
        Target::Machine => "machine".into(),
        Target::Processes(pids) => {
            let pid = pids.first().copied().unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let name = name.trim().replace('/', "_");
            if name.is_empty() { pid.to_string().into() } else { name.into() }
        }
    }
}

fn about(a: &Args, target: &Target, engine: &str) -> About {
    let (command, joined) = match target {
        Target::Command(command) => (command.argv.clone(), Vec::new()),
        Target::Processes(_) | Target::Cgroup(_) | Target::Machine => (Vec::new(), a.pid.clone()),
    };
    About {
        command,
        joined,
        engine: engine.to_owned(),
        filter: Filter::written(&a.filter),
        data: match a.data {
            DataLimit::All => "all".to_owned(),
            DataLimit::Writes => "writes".to_owned(),
            DataLimit::None => "none".to_owned(),
            DataLimit::Bytes(n) => n.to_string(),
        },
        snapshot: a.snapshot,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..About::here()
    }
}

type Watched = (&'static dyn capture::Engine, Recording, capture::Outcome);

/// Records with the first engine that works here.
fn watch(
    a: &Args,
    target: &Target,
    options: &capture::Options,
    path: &Path,
    talk: &Talk,
) -> Result<Watched> {
    // Only the program in the kernel sees others than whom it was told of, and chooses by outcome.
    let in_kernel =
        options.outcomes != Outcomes::ALL || matches!(target, Target::Cgroup(_) | Target::Machine);
    let mut candidates = a.engine.candidates(a.seccomp, in_kernel).iter().peekable();
    loop {
        let engine = *candidates.next().expect("the last candidate returns");
        let about = about(a, target, engine.name());
        let recording = Recording::create(path, about, Arc::new(Model::of_this_machine()));
        let recording = reading::explained(recording, path)?;
        let watched = match target {
            Target::Command(command) => engine.record_command(command, options, &recording),
            Target::Processes(pids) => engine.record_attach(pids, options, &recording),
            Target::Cgroup(cgroup) => engine.record_everybody(Some(cgroup), options, &recording),
            Target::Machine => engine.record_everybody(None, options, &recording),
        };
        match watched {
            Ok(watched) => return Ok((engine, recording, watched)),
            Err(error) => {
                // Nothing ran: nothing is left behind.
                drop(recording);
                let _best = fs::remove_dir_all(path);
                match candidates.peek() {
                    Some(next) if matches!(error, capture::Error::Unusable { .. }) => {
                        talk.detail(format_args!(
                            "watching with {}, as {}",
                            next.name(),
                            failure::causes(&error)
                        ));
                    }
                    _ => return explained(Err(error), in_kernel),
                }
            }
        }
    }
}

/// `in_kernel`: only eBPF can do what was asked for.
fn explained<T>(result: Result<T, capture::Error>, in_kernel: bool) -> Result<T> {
    let root = nix::unistd::Uid::effective().is_root();
    let advice = match &result {
        Err(capture::Error::Journal(error)) if error.is_refused() => {
            "choose a directory that you may write to, with -o"
        }
        Err(capture::Error::NotFound(_)) => "check the spelling, and PATH",
        Err(capture::Error::NotExecutable { .. }) => {
            "chmod +x makes a program of a file; a script needs a #! line"
        }
        Err(capture::Error::Join { source, .. })
            if source.raw_os_error() == Some(nix::libc::ESRCH) =>
        {
            "`pgrep -a NAME` lists the processes of a program with their numbers"
        }
        Err(capture::Error::Join { source, .. })
            if source.raw_os_error() == Some(nix::libc::EPERM) =>
        {
            "attach as the user that it runs as, or as root; a process can have only one tracer \
             or debugger; `reanimator doctor` checks what else is needed"
        }
        Err(capture::Error::Unusable { mend: Some(mend), .. }) => mend,
        Err(capture::Error::Unusable { .. }) if root && in_kernel => {
            "`reanimator doctor` says what this machine lacks; only eBPF can record this"
        }
        Err(capture::Error::Unusable { .. }) if root => {
            "--engine ptrace works everywhere; `reanimator doctor` says what this machine allows"
        }
        Err(capture::Error::Unusable { .. }) if in_kernel => {
            "run it as root: sudo reanimator record ...; only eBPF can record this"
        }
        Err(capture::Error::Unusable { .. }) => {
            "run it as root: sudo reanimator record ... (the command still runs as you); or add \
             --engine ptrace"
        }
        Err(capture::Error::Refused { doing, .. }) if doing.contains("which only eBPF can") => {
            "leave out --engine ptrace, and run it as root: sudo reanimator record ..."
        }
        _ => "`reanimator doctor` checks what this machine allows, and says how to fix it",
    };
    result.advise(advice)
}

fn seal(
    recording: Recording,
    watched: &capture::Outcome,
    path: &Path,
    talk: &Talk,
) -> Result<Summary> {
    if let Some(error) = &watched.journal_error {
        talk.warn(format_args!(
            "the trace could not be written any more, and the program runs on unrecorded: {}",
            failure::causes(error)
        ));
    }
    let end = trace::End {
        finished: watched.journal_error.is_none(),
        final_state: !watched.detached,
        held_ns: watched.held.as_nanos() as u64,
        notes: watched.notes.clone(),
        missing: watched.missing.clone(),
    };
    let progress = talk.progress("sealing");
    let sealed = recording.seal(end, &mut |done, of| progress.at(done, of));
    drop(progress);
    reading::explained(sealed, path).with_context(|| match watched.end {
        capture::End::Exited(status) => {
            format!("the program exited with {status}, but its trace is not finished")
        }
        capture::End::Signaled(signal) => {
            format!("the program died of signal {signal}, but its trace is not finished")
        }
        capture::End::Running => "the trace is not finished".to_owned(),
    })
}

/// The closing line; if something is missing, it is the loud one.
fn close(path: &Path, engine: &str, summary: &Summary, watched: &capture::Outcome, talk: &Talk) {
    for note in &summary.notes {
        talk.say(format_args!("note: {note}"));
    }
    if watched.held.as_millis() > 0 {
        talk.say(format_args!(
            "note: calls were delayed by {} in all, because the trace could not be written faster",
            duration(summary.held_ns)
        ));
    }
    let line = format!(
        "wrote {}  {}  {}  {}  {}  ({engine})",
        path.display(),
        counted(summary.calls, "call", "calls"),
        counted(summary.processes, "process", "processes"),
        bytes(summary.bytes_on_disk),
        summary.verdict
    );
    talk.say(line);
    if summary.verdict == Verdict::Incomplete {
        let lost = if summary.lost > 0 {
            format!("{} calls were lost; ", count(summary.lost))
        } else {
            String::new()
        };
        talk.warn(format_args!(
            "{} is INCOMPLETE: {lost}{}",
            path.display(),
            summary.reasons.join("; ")
        ));
    }
}
