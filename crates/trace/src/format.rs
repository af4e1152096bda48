//! How a trace is written down: records, the columns of its tables, text, versions.

pub(crate) mod columns;
pub mod record;
pub mod text;
pub(crate) mod version;
