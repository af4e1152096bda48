//! The columns of a trace's Parquet tables: names, types and order. docs/trace-schema.md says what
//! each one means. The writer and the reader both use these definitions.
//!
//! Columns for queries come first, then the columns that make a row lossless, then bulk data.

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

fn required_field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}
fn nullable_field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}
fn timestamp_field(name: &str) -> Field {
    required_field(name, DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())))
}

/// The names of the columns with the six argument registers.
pub(crate) const ARGS: [&str; 6] = ["a0", "a1", "a2", "a3", "a4", "a5"];

fn argument_fields() -> impl Iterator<Item = Field> {
    ARGS.iter().map(|name| required_field(name, DataType::UInt64))
}

/// Returns the schema of `calls-NNNNN.parquet` and `calls-NNNNN-late.parquet`: one row per call.
pub(crate) fn calls() -> SchemaRef {
    use DataType::{BinaryView, Int32, Int64, UInt8, UInt32, UInt64, Utf8};
    let dictionary = || DataType::Dictionary(Box::new(UInt32), Box::new(Utf8));
    let mut fields = vec![
        required_field("seq", UInt64),
        timestamp_field("time"),
        required_field("entered", Int64),
        nullable_field("duration", Int64),
        required_field("pid", UInt32),
        required_field("tid", UInt32),
        required_field("call", dictionary()),
        nullable_field("variant", dictionary()),
        nullable_field("result", Int64),
        nullable_field("error", dictionary()),
        nullable_field("fd", Int32),
        nullable_field("file", dictionary()),
        nullable_field("path", dictionary()),
        nullable_field("path2", dictionary()),
        nullable_field("offset", Int64),
        nullable_field("bytes", Int64),
        required_field("nr", UInt32),
        required_field("flags", UInt8),
        required_field("cpu", UInt32),
        nullable_field("dev", UInt32),
        nullable_field("ino", UInt64),
        nullable_field("mode", UInt32),
        nullable_field("fd_offset", UInt64),
    ];
    fields.extend(argument_fields());
    fields.push(required_field("pieces", BinaryView));
    fields.push(nullable_field("data", BinaryView));
    Arc::new(Schema::new(fields))
}

/// Returns the schema of `events.parquet` and `events-late.parquet`: one row per event.
pub(crate) fn events() -> SchemaRef {
    let mut fields = vec![
        timestamp_field("time"),
        required_field("at", DataType::Int64),
        required_field("event", DataType::Utf8),
    ];
    fields.extend([
        required_field("kind", DataType::UInt8),
        required_field("pid", DataType::UInt32),
        required_field("tid", DataType::UInt32),
    ]);
    fields.extend(argument_fields());
    fields.push(required_field("pieces", DataType::BinaryView));
    Arc::new(Schema::new(fields))
}

/// Returns the schema of `processes.parquet`: one row per thread.
pub(crate) fn processes() -> SchemaRef {
    use DataType::{Binary, Int64, UInt32, UInt64, Utf8};
    Arc::new(Schema::new(vec![
        required_field("pid", UInt32),
        required_field("tid", UInt32),
        nullable_field("parent", UInt32),
        required_field("new_process", DataType::Boolean),
        required_field("started", Int64),
        nullable_field("ended", Int64),
        nullable_field("status", Int64),
        nullable_field("program", Utf8),
        nullable_field("command", Binary),
        required_field("calls", UInt64),
        required_field("bytes", UInt64),
    ]))
}
