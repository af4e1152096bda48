//! Stopping running processes: while their descriptors are read, so that the records are of one
//! moment, or until the journals have caught up with them.
//!
//! They are stopped with PTRACE_INTERRUPT, which neither the processes nor their parents notice
//! (unlike SIGSTOP). A separate thread is their tracer, and ends to resume them: the kernel then
//! detaches all its tracees, whatever state they are in. It does the same if the recorder is
//! killed.

use super::stopped::{NO_OPTIONS, WaitMode, WaitResult, seize_threads, wait_for_tracee};
use crate::Error;
use crate::inspect::procfs;
use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// How long to wait for threads that do not stop, since they wait for a disk or for a child of
/// vfork(2).
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Stopped processes, which go on when this is dropped. A thread that could not stop yet stops when
/// it next runs.
pub(crate) struct StoppedProcesses {
    /// All threads that are stopped, or will be.
    pub threads: HashSet<i32>,
    /// Dropped to end the tracer.
    end: Option<Sender<()>>,
    /// The thread that is the tracer.
    tracer: Option<JoinHandle<()>>,
}

/// Stops all threads of the process that `pid` belongs to, and waits for that for at most
/// [`STOP_TIMEOUT`]. Returns the process ID and the stopped process. Fails if there is no such
/// process or it may not be traced.
pub(crate) fn stop_process(pid: i32) -> Result<(i32, StoppedProcesses), Error> {
    let refuse = |source| Error::Attach { pid, source };
    let process = procfs::read_status_number(pid, "Tgid:")
        .ok_or_else(|| refuse(io::Error::from_raw_os_error(libc::ESRCH)))?;
    seize_on_new_thread(move || stop_all_threads(process))
        .map(|stopped| (process, stopped))
        .map_err(refuse)
}

/// Makes all threads of these processes stop, without waiting until they have. Processes that
/// cannot be traced are left out. Fails if no thread can be started.
pub(crate) fn interrupt_processes(processes: HashSet<i32>) -> io::Result<StoppedProcesses> {
    seize_on_new_thread(move || {
        Ok(processes
            .into_iter()
            .filter_map(|process| seize_threads(process, NO_OPTIONS, |_| false).ok())
            .flatten()
            .collect())
    })
}

/// Calls `seize`, which returns the threads that it seized, on a new thread that remains their
/// tracer.
fn seize_on_new_thread(
    seize: impl FnOnce() -> io::Result<HashSet<i32>> + Send + 'static,
) -> io::Result<StoppedProcesses> {
    let (end, ended) = channel::<()>();
    let (send_seized, seized) = channel();
    let work = move || {
        let _sent = send_seized.send(seize());
        let _closed = ended.recv();
    };
    let tracer = Some(Builder::new().name("hold".to_owned()).spawn(work)?);
    // If the thread has sent nothing, it has panicked: no thread is stopped.
    let threads = seized.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
    let mut stopped = StoppedProcesses { threads: HashSet::new(), end: Some(end), tracer };
    stopped.threads = threads?;
    Ok(stopped)
}

/// Seizes all threads of a process and waits until they have stopped, for at most [`STOP_TIMEOUT`].
/// Returns the threads that were seized, also if some have not stopped in time. Fails if none could
/// be seized.
fn stop_all_threads(process: i32) -> io::Result<HashSet<i32>> {
    let mut seized = seize_threads(process, NO_OPTIONS, |_| false)?;
    let mut awaited = seized.clone();
    let deadline = Instant::now() + STOP_TIMEOUT;
    while Instant::now() < deadline {
        match wait_for_tracee(WaitMode::Poll) {
            // The thread remains stopped as long as it is traced.
            WaitResult::Stopped(thread, _) => drop(awaited.remove(&thread.tid())),
            WaitResult::Ended(tid, _) => {
                awaited.remove(&tid);
                seized.remove(&tid);
            }
            WaitResult::Interrupted | WaitResult::Nothing if !awaited.is_empty() => {
                sleep(Duration::from_micros(200));
            }
            // All have stopped, except threads that one of them made before it stopped.
            _ => match seize_threads(process, NO_OPTIONS, |tid| seized.contains(&tid)) {
                Ok(more) => {
                    awaited.extend(&more);
                    seized.extend(more);
                }
                Err(_) => break,
            },
        }
    }
    Ok(seized)
}

impl Drop for StoppedProcesses {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(tracer) = self.tracer.take() {
            let _panicked = tracer.join();
        }
    }
}
