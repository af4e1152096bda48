//! The records of one type in the order of the file, with one extent of them in memory.

use crate::Error;
use crate::dataseries::records::arguments::{self, RecordMap};
use dataseries_file::{Extent, Reader, Value};
use std::collections::BTreeMap;

/// How much memory the extents of all types, one each, may take together. The original library
/// writes extents of four megabytes and one record.
const HELD: usize = 768 << 20;

/// Counts of what could not be imported.
#[derive(Default)]
pub(crate) struct Losses {
    /// Calls and records, by name.
    pub calls: BTreeMap<String, u64>,
    /// Counts of assumptions in place of what the file has.
    pub assumed: BTreeMap<String, u64>,
    /// Why the file was not read to its end.
    pub damage: Option<String>,
    /// Extents that were skipped.
    passed: u64,
    /// Bytes of the extents in memory.
    held: usize,
}

impl Losses {
    /// Starts without counts. `damage` is an error that was found already.
    pub fn new(damage: Option<String>) -> Self {
        Self { damage, ..Self::default() }
    }

    /// Counts a call or record that is not imported, by its kind.
    pub fn count(&mut self, what: &str) {
        *self.calls.entry(what.to_owned()).or_default() += 1;
    }

    /// Counts something that had to be assumed.
    pub fn count_assumption(&mut self, what: String) {
        *self.assumed.entry(what).or_default() += 1;
    }

    /// Keeps the message of the first damage.
    fn add_damage(&mut self, e: &dataseries_file::Error) {
        self.damage.get_or_insert_with(|| e.to_string());
        self.passed += 1;
        self.count("damaged extents");
    }

    /// Counts an extent that is skipped as it would take too much memory.
    fn add_too_large(&mut self, name: &str) {
        self.damage.get_or_insert_with(|| {
            format!(
                "the extents of all types together are too large for memory, from one of {name} on"
            )
        });
        self.passed += 1;
        self.count("extents that are too large");
    }
}

/// The records of one type, in the order of the file.
pub(crate) struct Stream {
    name: String,
    /// The meaning of its fields.
    pub map: Option<&'static RecordMap>,
    offsets: std::vec::IntoIter<u64>,
    extent: Option<Extent>,
    /// The record that comes next.
    pub next: usize,
    /// Bytes of the file behind it.
    pub read: u64,
}

impl Stream {
    /// Creates the stream of a type's records, in extents at these offsets.
    pub fn new(name: String, offsets: Vec<u64>) -> Self {
        let map = arguments::map_of_type(&name);
        Self { name, map, offsets: offsets.into_iter(), extent: None, next: 0, read: 0 }
    }

    /// Returns the last part of the type's name.
    pub fn short_name(&self) -> &str {
        self.name.strip_prefix(arguments::PREFIX).unwrap_or(&self.name)
    }

    /// Returns the next record of the extent in memory.
    pub fn current_row(&self) -> Option<Row<'_>> {
        self.extent
            .as_ref()
            .filter(|e| self.next < e.records)
            .map(|extent| Row { extent, i: self.next })
    }

    /// Loads the next record. Returns its `unique_id`, or `None` at the end. Fails if the file
    /// cannot be read.
    pub fn load_next(
        &mut self,
        reader: &mut Reader,
        losses: &mut Losses,
    ) -> Result<Option<u64>, Error> {
        while self.current_row().is_none() {
            let Some(offset) = self.offsets.next() else { return Ok(None) };
            self.read = offset;
            self.next = 0;
            losses.held -= self.extent.take().map_or(0, |e| e.memory_bytes());
            match reader.read_at(offset) {
                Ok(extent) if losses.held + extent.memory_bytes() > HELD => {
                    losses.add_too_large(&self.name);
                }
                Ok(extent) => {
                    losses.held += extent.memory_bytes();
                    self.extent = Some(extent);
                }
                Err(e @ dataseries_file::Error::Io { .. }) => return Err(e.into()),
                Err(e) => losses.add_damage(&e),
            }
        }
        Ok(self.current_row().map(|r| r.int("unique_id").unwrap_or(0).max(0).cast_unsigned()))
    }

    /// Loads the next record, and returns whether it belongs to the one before. That is so if it is
    /// in the same extent, or if no damaged or oversized extent was passed over on the way to it.
    pub fn next_belongs(
        &mut self,
        reader: &mut Reader,
        losses: &mut Losses,
    ) -> Result<bool, Error> {
        if self.current_row().is_some() {
            return Ok(true);
        }
        let passed = losses.passed;
        Ok(self.load_next(reader, losses)?.is_some() && losses.passed == passed)
    }
}

/// A record.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub extent: &'a Extent,
    pub i: usize,
}

impl<'a> Row<'a> {
    /// Returns the field of this name; null if there is none.
    pub fn value(self, name: &str) -> Value<'a> {
        self.extent.kind.field_index(name).map_or(Value::Null, |f| self.extent.value(self.i, f))
    }
    /// Returns a field as a number.
    pub fn int(self, name: &str) -> Option<i64> {
        match self.value(name) {
            Value::Int(v) => Some(v),
            Value::Byte(v) => Some(v.into()),
            _ => None,
        }
    }
    /// Returns whether a flag is set.
    pub fn flag(self, name: &str) -> bool {
        self.value(name) == Value::Bool(true)
    }
    /// Returns a field as bytes.
    pub fn bytes(self, name: &str) -> Option<&'a [u8]> {
        match self.value(name) {
            Value::Bytes(b) => Some(b),
            _ => None,
        }
    }
    /// Returns a field as text, without the NUL at its end.
    pub fn text(self, name: &str) -> Option<&'a [u8]> {
        self.bytes(name).map(|b| b.split(|c| *c == 0).next().unwrap_or_default())
    }
    /// Returns the thread of the record.
    pub fn tid(self) -> Option<u32> {
        self.int("executing_tid")
            .or_else(|| self.int("executing_pid"))
            .and_then(|t| u32::try_from(t).ok())
            .filter(|t| *t > 0)
    }
    /// Returns the result as the kernel gives it: a negative errno if the call failed.
    pub fn result(self) -> Option<i64> {
        let ret = self.int("return_value")?;
        match self.int("errno_number") {
            Some(errno @ 1..4096) if ret == -1 => Some(-errno),
            _ => Some(ret),
        }
    }
    /// Returns whether the record's bytes are those that were in memory.
    pub fn is_captured(self) -> bool {
        !self.flag("buffer_not_captured")
    }
}
