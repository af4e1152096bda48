//! The recorder's own threads: their scheduling policies, and the thread that seals while the
//! program is recorded.

pub(crate) mod scheduling;
pub(crate) mod seal_ahead;
pub(crate) mod spare_cpu;
