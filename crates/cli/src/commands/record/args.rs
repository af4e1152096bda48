//! The options of `reanimator record`.

use crate::filter;
use crate::output::units::parse_bytes;
use capture::DataLimit;
use clap::ValueHint;
use std::ffi::OsString;
use std::path::PathBuf;

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
      Keep 64 bytes of each buffer; replay writes zeros for the rest")]
pub struct Args {
    /// The trace to write [default: COMMAND.ra, or COMMAND.1.ra, ...]
    #[arg(short, long, value_name = "TRACE")]
    pub output: Option<PathBuf>,
    /// Record only these calls: names, %group, /regex, !set, status=failed (eBPF)
    #[arg(short = 'e', value_name = "EXPR", long_help = filter::option_help(
        "Record only the calls that EXPR selects",
        "status=failed (or successful, unfinished) selects by outcome (eBPF). "
    ))]
    pub filter: Vec<String>,
    /// Attach to this process; may be given several times
    #[arg(short = 'p', value_name = "PID", conflicts_with = "command", value_parser = parse_process_id)]
    pub pid: Vec<u32>,
    /// Record every process of the machine until Ctrl-C (eBPF)
    #[arg(short = 'a', long = "all", conflicts_with_all = ["command", "pid", "cgroup"])]
    pub all: bool,
    /// Record every process of this cgroup v2 directory until Ctrl-C (eBPF)
    #[arg(short = 'G', long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(conflicts_with_all = ["command", "pid"])]
    pub cgroup: Option<PathBuf>,
    /// How to record
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// How much data to keep: all, writes, none, or N bytes of each buffer
    #[arg(long, value_name = "WHAT", default_value = "all", value_parser = parse_data_limit)]
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
    #[arg(long, value_name = "SIZE", value_parser = parse_ring_bytes)]
    pub buffer: Option<usize>,
    /// Write no more than so many bytes a second to each journal: a slow disk, for tests (eBPF)
    #[arg(long, value_name = "N", hide = true)]
    pub write_rate: Option<u64>,
    /// Seal while recording when so many bytes of journal wait; 0: not before the recording has
    /// ended, for tests
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
    /// Programs in the kernel: fast; needs root or CAP_BPF and CAP_PERFMON
    Ebpf,
    /// Stop the command at every call: slower, needs no privileges
    Ptrace,
}

impl Engine {
    /// Returns the engines to try, the best first. With `seccomp` only ptrace is left, as the
    /// filter is its way to leave calls alone; with `in_kernel` only eBPF, as only it can select by
    /// outcome.
    pub fn candidates(
        self,
        seccomp: bool,
        in_kernel: bool,
    ) -> &'static [&'static dyn capture::Engine] {
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

/// Parses the size of a ring buffer: a power of two within the supported range.
fn parse_ring_bytes(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text).and_then(|n| usize::try_from(n).ok());
    match bytes {
        Some(n) if n.is_power_of_two() && RING.contains(&n) => Ok(n),
        _ => Err("expected a power of two from 256K to 1G, like 16M".to_owned()),
    }
}

/// Parses a process id.
fn parse_process_id(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(pid) if pid > 0 && i32::try_from(pid).is_ok() => Ok(pid),
        _ if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            Err("no process has this number".to_owned())
        }
        _ => Err("not a process id: `pgrep NAME` prints those of a program".to_owned()),
    }
}

/// Parses the value of `--data`: `all`, `writes`, `none`, or a number of bytes.
fn parse_data_limit(text: &str) -> Result<DataLimit, String> {
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
