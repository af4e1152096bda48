//! The on-disk format of a trace: records, the columns of its tables, escaped text, versions.

pub(crate) mod columns;
pub mod record;
pub mod text;
pub(crate) mod version;
