//! What Ctrl-C (SIGINT) and other signals that ask the recorder to end do: the first goes to the
//! command, the second ends the recording.

use super::handlers::News;
use nix::libc;

/// How often we were asked to end.
#[derive(Default)]
pub(crate) struct Asked {
    times: u32,
}

impl Asked {
    /// Counts what came. `command`: the program that is ours and still runs; it has heard what came
    /// from the terminal, and gets what came to us alone the first time. Whether we are to leave:
    /// without a command that would hear it, the first request is for us.
    pub fn hear(&mut self, news: News, command: Option<i32>) -> bool {
        self.times += news.interrupts;
        if let Some(signal) = news.terminate {
            self.times += 1;
            if let (1, Some(pid)) = (self.times, command) {
                send(pid, signal);
            }
        }
        self.times > u32::from(command.is_some())
    }
    /// How often.
    pub fn times(&self) -> u32 {
        self.times
    }
}

/// Passes a signal on.
fn send(pid: i32, signal: i32) {
    // SAFETY: takes numbers.
    unsafe { libc::kill(pid, signal) };
}
