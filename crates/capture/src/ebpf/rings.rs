//! From the probe to the journals: the ring of each CPU, the thread that empties it, and the thread
//! that writes its journal.

mod backlog;
mod consumer;
mod low_water;
mod ring;
mod writer;
mod written_until;

pub(super) use consumer::{Consumers, Cpus};
pub(super) use low_water::LowWaterMark;
pub(super) use ring::Ring;
pub(super) use written_until::WrittenUntil;
