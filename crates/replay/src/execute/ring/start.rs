//! How the thread of a ring starts.

use super::files::Files;
use super::{RingExecutor, SHORTEST};
use crate::execute::executor::{Executor, run_guarded, wait_to_begin};
use crate::execute::job::Job;
use crate::execute::shared::Shared;
use crate::issue::ring::RingSpec;
use crate::report::RingCounts;
use ahash::HashMap;
use crossbeam_channel::{Receiver, Sender};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

/// What the thread of a ring needs to start.
pub(crate) struct RingStart {
    pub shared: Arc<Shared>,
    /// The number of the executor.
    pub index: usize,
    pub spec: RingSpec,
    pub jobs: Receiver<Vec<Job>>,
    pub returned: Sender<Vec<Job>>,
}

impl RingStart {
    /// Starts the thread. It shares the descriptors of the calling one.
    pub fn spawn(self, stack_size: usize) -> std::io::Result<JoinHandle<()>> {
        let thread = std::thread::Builder::new().name("ring".into()).stack_size(stack_size);
        thread.spawn(move || self.run())
    }

    /// Performs jobs until their sender is gone.
    fn run(self) {
        let Self { shared, index, spec, jobs, returned } = self;
        run_guarded(&shared, || {
            let base = Executor::new(&shared, index)?;
            let ring = match spec.make() {
                Ok(ring) => Some(ring),
                Err(why) => {
                    shared.note(refused(spec, why));
                    None
                }
            };
            let counts = RingCounts { rings: u64::from(ring.is_some()), ..RingCounts::default() };
            let mut this = RingExecutor {
                ring,
                files: Files::default(),
                lanes: Vec::new(),
                lane_of: HashMap::default(),
                pending: VecDeque::new(),
                first: 0,
                changing_user: VecDeque::new(),
                chain: Vec::new(),
                base,
                done: Vec::new(),
                returned,
                patience: SHORTEST,
                counts,
            };
            wait_to_begin(&shared);
            this.run(&shared, &jobs)?;
            shared.rings.lock().unwrap_or_else(PoisonError::into_inner).merge(this.counts);
            let RingExecutor { base, .. } = this;
            base.add_times();
            Ok(())
        });
    }
}

/// Returns the note that a ring could not be made.
pub(crate) fn refused(spec: RingSpec, why: rustix::io::Errno) -> String {
    let errno = why.raw_os_error();
    let name = abi::errno_name(errno).map_or_else(|| errno.to_string(), ToOwned::to_owned);
    format!("operations were performed by calls: {} failed here with {name}", spec.call())
}
