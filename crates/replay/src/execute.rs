//! Executors: threads that issue the calls of traced threads, each when those that it waits for are
//! done and when it is due.

mod clock;
mod completion;
mod executor;
mod job;
mod pool;
mod ring;
mod shared;
mod unperformed;

pub(crate) use clock::Due;
pub(crate) use completion::{Completion, Dependency, WINDOW};
pub(crate) use job::{Job, JobExtras, Work};
pub(crate) use pool::Pool;
pub(crate) use ring::refused;
pub(crate) use shared::Shared;
pub(crate) use unperformed::Unperformed;
