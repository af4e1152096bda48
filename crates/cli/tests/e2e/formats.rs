//! Files of other tools, and traces as other tools read them.

pub mod convert;
pub mod duckdb;
pub mod format;
pub mod schema;
pub mod styles;
pub mod versions;
