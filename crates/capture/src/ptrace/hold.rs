//! Holding running processes still: for as long as their descriptor tables are read, so that what
//! is told of them is true at one moment, or until there is room for what they do.
//!
//! With ptrace's interrupts, which neither the processes nor their parents see (SIGSTOP they
//! would). A thread of our own holds them and ends to let them go: the kernel then lets go of all
//! that it held, whatever state they were in, and as well if we are killed.

use super::stopped::{NO_OPTIONS, WaitResult, seize_threads, wait};
use crate::Error;
use crate::inspect::procfs;
use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// A thread that cannot stop (it waits for a disk, or for a vforked child) is not waited for longer
/// than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Processes that stand still, or will when they next run, until this is dropped.
pub(crate) struct Held {
    /// Their threads.
    pub threads: HashSet<i32>,
    until: Option<Sender<()>>,
    holder: Option<JoinHandle<()>>,
}

/// Takes hold of all threads of a process, and waits until they stand still.
pub(crate) fn hold(pid: i32) -> Result<(i32, Held), Error> {
    let refuse = |source| Error::Attach { pid, source };
    let process = procfs::status_number(pid, "Tgid:")
        .ok_or_else(|| refuse(io::Error::from_raw_os_error(libc::ESRCH)))?;
    on_a_thread(move || stop(process)).map(|held| (process, held)).map_err(refuse)
}

/// Has all threads of these processes stop, those that can be held.
pub(crate) fn hold_all(processes: HashSet<i32>) -> io::Result<Held> {
    on_a_thread(move || {
        Ok(processes
            .into_iter()
            .filter_map(|process| seize_threads(process, NO_OPTIONS, |_| false).ok())
            .flatten()
            .collect())
    })
}

fn on_a_thread(
    take: impl FnOnce() -> io::Result<HashSet<i32>> + Send + 'static,
) -> io::Result<Held> {
    let (until, ends) = channel::<()>();
    let (tell, hear) = channel();
    let work = move || {
        let _heard = tell.send(take());
        let _ended = ends.recv();
    };
    let holder = Some(Builder::new().name("hold".to_owned()).spawn(work)?);
    // A holder that says nothing has panicked: no thread is held.
    let threads = hear.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
    let mut held = Held { threads: HashSet::new(), until: Some(until), holder };
    held.threads = threads?;
    Ok(held)
}

/// Takes hold until there is no thread that is not held, and waits until all stand still.
fn stop(process: i32) -> io::Result<HashSet<i32>> {
    let mut seized = seize_threads(process, NO_OPTIONS, |_| false)?;
    let mut awaited = seized.clone();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match wait(false) {
            // The thread stands still for as long as we hold it.
            WaitResult::Stopped(one, _) => drop(awaited.remove(&one.tid())),
            WaitResult::Ended(tid, _) => {
                awaited.remove(&tid);
                seized.remove(&tid);
            }
            WaitResult::Interrupted | WaitResult::Nothing if !awaited.is_empty() => {
                sleep(Duration::from_micros(200));
            }
            // All stand still but threads that one of them made before it did.
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

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.until.take());
        if let Some(holder) = self.holder.take() {
            let _panicked = holder.join();
        }
    }
}
