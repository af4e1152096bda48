//! `reanimator record`: run a program, or join one, and write what it does into a trace.

use crate::outcome::Outcome;
use crate::talk::Talk;
use std::ffi::OsString;
use std::path::PathBuf;

/// Run a program and record its system calls, with all the bytes they move, into a trace
///
/// The program's forks are followed, its output is its own, and its exit status becomes ours: the command's status, death by the same signal, or
/// 125 if recording failed, 126 if the command cannot be executed, 127 if it is not found.
///
/// Ctrl-C goes to the program, and the trace is finished when it ends; a second Ctrl-C leaves the program alone and finishes at once. With -p the first does.
/// Under sudo the command runs as the user who called sudo, and the trace is theirs. A trace holds the data that the program handled: only its owner can read it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator record -- make -j4                writes make.ra (or make.1.ra, if that exists)
  reanimator record -o t.ra sqlite3 app.db     names the trace
  reanimator record -p 4711                    joins a running process; Ctrl-C leaves it running
  reanimator record -e '!futex' -- ./server    all calls but futex
  reanimator record --data 64 -- ./server      64 bytes of each buffer; cannot be replayed")]
pub struct Args {
    /// The trace to write [default: ./COMMAND.ra, or ./COMMAND.1.ra, ...]
    #[arg(short, long, value_name = "TRACE")]
    pub output: Option<PathBuf>,
    /// Which calls to record: names, !set, %group, /regex; replaying needs them all
    #[arg(short = 'e', value_name = "EXPR")]
    pub filter: Vec<String>,
    /// Join this running process (may be given several times)
    #[arg(short = 'p', value_name = "PID", conflicts_with = "command")]
    pub pid: Vec<u32>,
    /// How to watch
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// How much data to keep: all, writes, none, or at most N bytes of each buffer
    #[arg(long, value_name = "WHAT", default_value = "all", value_parser = Data::parse)]
    pub data: Data,
    /// Do not stop the program for calls that -e leaves out. Faster, but should reanimator be killed, the calls that -e selects fail with ENOSYS from then
    /// on: a seccomp filter cannot be taken back
    #[arg(long)]
    pub seccomp: bool,
    /// Replace the trace if it exists
    #[arg(long)]
    pub force: bool,
    /// End with 125 if the trace is incomplete
    #[arg(long)]
    pub strict: bool,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required_unless_present = "pid", value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// A way of watching a program.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The best that this machine allows
    Auto,
    /// Stop the program at each call; works everywhere
    Ptrace,
}

/// How much data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// All of it.
    All,
    /// What the program writes.
    Writes,
    /// None.
    None,
    /// So many bytes of each buffer.
    Upto(u64),
}

impl Data {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "all" => Self::All,
            "writes" => Self::Writes,
            "none" => Self::None,
            number => Self::Upto(number.parse().map_err(|_| "say all, writes, none, or a number of bytes".to_owned())?),
        })
    }
}

/// `reanimator record`.
pub fn run(_: &Args, _: &Talk) -> Outcome {
    Outcome::Failed(anyhow::anyhow!("recording is not built yet"), 125)
}
