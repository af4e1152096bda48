//! Works on the parts of a trace in parallel, and takes what comes out in the order of the parts.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use trace::Error;

/// How far the workers are.
#[derive(Default)]
struct Progress {
    /// The next job that no worker has begun.
    next: usize,
    /// The number of results that were taken.
    taken: usize,
    /// No further job is begun.
    stopped: bool,
}

/// The progress, and the signal that it changed.
#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the index of the next of `jobs` jobs, or `None` if there is none. Waits as long as
    /// `ahead` results wait to be taken.
    fn begin(&self, jobs: usize, ahead: usize) -> Option<usize> {
        let mut now = self.lock();
        while !now.stopped && now.next < jobs && now.next >= now.taken + ahead {
            now = self.changed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        if now.stopped || now.next >= jobs {
            return None;
        }
        now.next += 1;
        Some(now.next - 1)
    }
}

/// Does each job with `work` on as many threads as there are CPUs, and passes the results to `take`
/// on this thread, in the order of the jobs. At most twice as many results exist at a time as there
/// are threads. Returns the error of the first job that failed, in that order.
pub(crate) fn in_order<J: Sync, T: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> Result<T, Error> + Sync,
    mut take: impl FnMut(T) -> Result<(), Error>,
) -> Result<(), Error> {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cpus.min(jobs.len());
    if threads <= 1 {
        return jobs.iter().try_for_each(|job| take(work(job)?));
    }
    let (shared, (to, from)) = (Shared::default(), channel());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (to, shared, work) = (to.clone(), &shared, &work);
            scope.spawn(move || {
                while let Some(i) = shared.begin(jobs.len(), 2 * threads) {
                    if to.send((i, work(&jobs[i]))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to);
        let mut waiting = BTreeMap::new();
        let mut receive = || {
            for taken in 0..jobs.len() {
                let result = loop {
                    if let Some(result) = waiting.remove(&taken) {
                        break result;
                    }
                    let Ok((i, result)) = from.recv() else { return Ok(()) };
                    waiting.insert(i, result);
                };
                take(result?)?;
                shared.lock().taken = taken + 1;
                shared.changed.notify_all();
            }
            Ok(())
        };
        let done = receive();
        shared.lock().stopped = true;
        shared.changed.notify_all();
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_jobs() {
        let jobs: Vec<u64> = (0..100).collect();
        let mut taken = Vec::new();
        let slow_at_first = |job: &u64| {
            std::thread::sleep(std::time::Duration::from_micros(100 - *job));
            Ok(*job)
        };
        in_order(&jobs, slow_at_first, |n| {
            taken.push(n);
            Ok(())
        })
        .expect("no job fails");
        assert_eq!(taken, jobs);
    }

    #[test]
    fn the_first_error_ends_it() {
        let jobs: Vec<u64> = (0..100).collect();
        let mut taken = 0;
        let fails = |job: &u64| {
            if *job >= 40 { Err(Error::damaged(job.to_string(), "bad")) } else { Ok(()) }
        };
        let error = in_order(&jobs, fails, |()| {
            taken += 1;
            Ok(())
        });
        assert_eq!(error.expect_err("job 40 fails").to_string(), "40 is damaged: bad");
        assert_eq!(taken, 40);
        let refused = in_order(&jobs, |_| Ok(()), |()| Err(Error::damaged("x", "enough")));
        assert!(refused.is_err());
    }
}
