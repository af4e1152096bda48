//! What Ctrl-C (SIGINT) and other signals that ask the recorder to end do: the first goes to the
//! command, the second ends the recording.

use super::handlers::Arrived;

/// How often we were asked to end.
#[derive(Default)]
pub(crate) struct EndRequests {
    times: u32,
}

impl EndRequests {
    /// Counts what came. `command`: the program that is ours and still runs; it has heard what came
    /// from the terminal, and gets what came to us alone the first time. Whether we are to leave:
    /// without a command that would hear it, the first request is for us.
    pub fn count(&mut self, arrived: Arrived, command: Option<i32>) -> bool {
        self.times += arrived.interrupts;
        if let Some(signal) = arrived.terminate {
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
