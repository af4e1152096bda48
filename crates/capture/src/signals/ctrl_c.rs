//! What Ctrl-C (SIGINT) and the other signals that ask the recorder to end do: the first one goes
//! to the command, the second one ends the recording.

use super::handlers::ReceivedSignals;

/// Counts how often the recorder was asked to end.
#[derive(Default)]
pub(crate) struct EndRequests {
    times: u32,
}

impl EndRequests {
    /// Counts the signals in `received`. Returns whether to end the recording: at the second
    /// request, or at the first if there is no command. `command` is the recorder's child while it
    /// runs. It gets signals of the terminal itself; one that was sent to the recorder only is
    /// passed on to it the first time.
    pub fn count(&mut self, received: ReceivedSignals, command: Option<i32>) -> bool {
        self.times += received.interrupts;
        if let Some(signal) = received.terminate {
            self.times += 1;
            if let (1, Some(pid)) = (self.times, command) {
                send(pid, signal);
            }
        }
        self.times > u32::from(command.is_some())
    }
    /// Returns how many requests were counted.
    pub fn times(&self) -> u32 {
        self.times
    }
}

/// Sends a signal to a process. Errors are ignored, since the process may have ended.
fn send(pid: i32, signal: i32) {
    // SAFETY: takes numbers.
    unsafe { libc::kill(pid, signal) };
}
