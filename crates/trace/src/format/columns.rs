//! The columns of the tables that a trace is made of: names, types, order. docs/trace-schema.md
//! says what each means; writer and reader both take them from here.
//!
//! Columns that answer questions come first, those that make a row lossless after them, bulk data
//! last.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

fn field(name: &str, of: DataType) -> Field {
    Field::new(name, of, false)
}
fn nullable(name: &str, of: DataType) -> Field {
    Field::new(name, of, true)
}
fn time(name: &str) -> Field {
    field(name, DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())))
}

/// Names of the six raw arguments.
pub(crate) const ARGS: [&str; 6] = ["a0", "a1", "a2", "a3", "a4", "a5"];

fn args() -> impl Iterator<Item = Field> {
    ARGS.iter().map(|name| field(name, DataType::UInt64))
}

/// `calls-NNNNN.parquet`, `calls-NNNNN-late.parquet`.
pub(crate) fn calls() -> SchemaRef {
    use DataType::{BinaryView, Int32, Int64, UInt8, UInt32, UInt64, Utf8};
    let word = || DataType::Dictionary(Box::new(UInt32), Box::new(Utf8));
    let mut fields = vec![
        field("seq", UInt64),
        time("time"),
        field("entered", Int64),
        nullable("duration", Int64),
        field("pid", UInt32),
        field("tid", UInt32),
        field("call", word()),
        nullable("variant", word()),
        nullable("result", Int64),
        nullable("error", word()),
        nullable("fd", Int32),
        nullable("file", word()),
        nullable("path", word()),
        nullable("path2", word()),
        nullable("offset", Int64),
        nullable("bytes", Int64),
        field("nr", UInt32),
        field("flags", UInt8),
        field("cpu", UInt32),
        nullable("dev", UInt32),
        nullable("ino", UInt64),
        nullable("mode", UInt32),
        nullable("fd_offset", UInt64),
    ];
    fields.extend(args());
    fields.push(field("pieces", BinaryView));
    fields.push(nullable("data", BinaryView));
    Arc::new(Schema::new(fields))
}

/// `events.parquet`, `events-late.parquet`.
pub(crate) fn events() -> SchemaRef {
    let mut fields =
        vec![time("time"), field("at", DataType::Int64), field("event", DataType::Utf8)];
    fields.extend([
        field("kind", DataType::UInt8),
        field("pid", DataType::UInt32),
        field("tid", DataType::UInt32),
    ]);
    fields.extend(args());
    fields.push(field("pieces", DataType::BinaryView));
    Arc::new(Schema::new(fields))
}

/// `processes.parquet`: one row per thread.
pub(crate) fn processes() -> SchemaRef {
    use DataType::{Binary, Int64, UInt32, UInt64, Utf8};
    Arc::new(Schema::new(vec![
        field("pid", UInt32),
        field("tid", UInt32),
        nullable("parent", UInt32),
        field("new_process", DataType::Boolean),
        field("started", Int64),
        nullable("ended", Int64),
        nullable("status", Int64),
        nullable("program", Utf8),
        nullable("command", Binary),
        field("calls", UInt64),
        field("bytes", UInt64),
    ]))
}
