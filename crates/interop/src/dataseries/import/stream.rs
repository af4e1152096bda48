//! The records of one type in the order of the file, with one extent of them in memory.

use crate::Error;
use crate::dataseries::records::arguments::{self, RecordMap};
use dataseries_file::{Extent, Reader, Value};
use std::collections::BTreeMap;

/// How many bytes of memory the extents of all types, one each, may take together. The original
/// library writes extents of four megabytes and one record.
const MAX_EXTENT_MEMORY: usize = 768 << 20;

/// Counts of what could not be imported, and what limits the memory of the import.
#[derive(Default)]
pub(crate) struct Losses {
    /// How many calls or records of each name were not imported.
    pub calls: BTreeMap<String, u64>,
    /// How often each assumption was made, because the file has no or a wrong value.
    pub assumed: BTreeMap<String, u64>,
    /// Why the file was not read to its end.
    pub damage: Option<String>,
    /// How many extents were skipped because they are damaged or too large.
    skipped_extents: u64,
    /// Bytes of the extents that are in memory now.
    extent_memory: usize,
}

impl Losses {
    /// Creates counts that are all 0. `damage` is the error that ended the first reading of the
    /// file, if one did.
    pub fn new(damage: Option<String>) -> Self {
        Self { damage, ..Self::default() }
    }

    /// Counts a call or record that is not imported; `what` says which.
    pub fn count(&mut self, what: &str) {
        *self.calls.entry(what.to_owned()).or_default() += 1;
    }

    /// Counts an assumption; `what` says which.
    pub fn count_assumption(&mut self, what: String) {
        *self.assumed.entry(what).or_default() += 1;
    }

    /// Counts an extent that is skipped because it is damaged, and keeps the first error's message.
    fn add_damage(&mut self, error: &dataseries_file::Error) {
        self.damage.get_or_insert_with(|| error.to_string());
        self.skipped_extents += 1;
        self.count("damaged extents");
    }

    /// Counts an extent of this type that is skipped because it would take too much memory.
    fn add_too_large(&mut self, type_name: &str) {
        self.damage.get_or_insert_with(|| {
            format!(
                "the extents of all types together are too large for memory, from one of \
                 {type_name} on"
            )
        });
        self.skipped_extents += 1;
        self.count("extents that are too large");
    }
}

/// The records of one type, in the order of the file.
pub(crate) struct Stream {
    /// The name of the type.
    name: String,
    /// What the type's fields mean; `None` if it is unknown.
    pub map: Option<&'static RecordMap>,
    /// The offsets of the extents that were not loaded yet.
    offsets: std::vec::IntoIter<u64>,
    /// The extent in memory.
    extent: Option<Extent>,
    /// The index in that extent of the record that comes next.
    pub next: usize,
    /// The offset of the extent in memory, as a measure of progress.
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

    /// Returns the next record, if the extent in memory has another one. It stays the next one.
    pub fn current_row(&self) -> Option<Row<'_>> {
        self.extent
            .as_ref()
            .filter(|e| self.next < e.records)
            .map(|extent| Row { extent, index: self.next })
    }

    /// Loads extents until [`Self::current_row`] returns a record, unless it does so already.
    /// Damaged and too large extents are skipped and counted. Returns the record's `unique_id`, or
    /// `None` if there are no more records. Fails if the file cannot be read.
    pub fn load_next(
        &mut self,
        reader: &mut Reader,
        losses: &mut Losses,
    ) -> Result<Option<u64>, Error> {
        while self.current_row().is_none() {
            let Some(offset) = self.offsets.next() else { return Ok(None) };
            self.read = offset;
            self.next = 0;
            losses.extent_memory -= self.extent.take().map_or(0, |e| e.memory_bytes());
            match reader.read_at(offset) {
                Ok(extent) if losses.extent_memory + extent.memory_bytes() > MAX_EXTENT_MEMORY => {
                    losses.add_too_large(&self.name);
                }
                Ok(extent) => {
                    losses.extent_memory += extent.memory_bytes();
                    self.extent = Some(extent);
                }
                Err(e @ dataseries_file::Error::Io { .. }) => return Err(e.into()),
                Err(e) => losses.add_damage(&e),
            }
        }
        Ok(self.current_row().map(|r| r.int("unique_id").unwrap_or(0).max(0).cast_unsigned()))
    }

    /// Loads the next record if the extent in memory has none. Returns whether the library wrote it
    /// right after the record before. That is so unless a damaged or too large extent was skipped
    /// between them, or there are no more records. An importer of a call with several records asks
    /// this, as the missing records may be those of the call.
    pub fn next_is_contiguous(
        &mut self,
        reader: &mut Reader,
        losses: &mut Losses,
    ) -> Result<bool, Error> {
        if self.current_row().is_some() {
            return Ok(true);
        }
        let skipped_before = losses.skipped_extents;
        let has_next = self.load_next(reader, losses)?.is_some();
        Ok(has_next && losses.skipped_extents == skipped_before)
    }
}

/// A record of an extent.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub extent: &'a Extent,
    /// The record's index in the extent.
    pub index: usize,
}

impl<'a> Row<'a> {
    /// Returns the value of the field of this name; null if there is no such field.
    pub fn value(self, name: &str) -> Value<'a> {
        let field = self.extent.record_type.field_index(name);
        field.map_or(Value::Null, |field| self.extent.value(self.index, field))
    }
    /// Returns the number in a field, or `None` if it is null, missing or no number.
    pub fn int(self, name: &str) -> Option<i64> {
        match self.value(name) {
            Value::Int(v) => Some(v),
            Value::Byte(v) => Some(v.into()),
            _ => None,
        }
    }
    /// Returns whether a Boolean field is true.
    pub fn flag(self, name: &str) -> bool {
        self.value(name) == Value::Bool(true)
    }
    /// Returns the bytes in a field, or `None` if it is null, missing or does not hold bytes.
    pub fn bytes(self, name: &str) -> Option<&'a [u8]> {
        match self.value(name) {
            Value::Bytes(b) => Some(b),
            _ => None,
        }
    }
    /// Returns the bytes in a field up to the first NUL; `None` as from [`Self::bytes`].
    pub fn text(self, name: &str) -> Option<&'a [u8]> {
        self.bytes(name).map(|b| b.split(|c| *c == 0).next().unwrap_or_default())
    }
    /// Returns the id of the thread that made the record's call, or `None` if the record has none.
    pub fn tid(self) -> Option<u32> {
        self.int("executing_tid")
            .or_else(|| self.int("executing_pid"))
            .and_then(|t| u32::try_from(t).ok())
            .filter(|t| *t > 0)
    }
    /// Returns the call's result as the kernel returns it: a negative errno if the call failed.
    /// Returns `None` if the record has no result.
    pub fn result(self) -> Option<i64> {
        let ret = self.int("return_value")?;
        match self.int("errno_number") {
            Some(errno @ 1..4096) if ret == -1 => Some(-errno),
            _ => Some(ret),
        }
    }
    /// Returns whether the record's bytes are those that were in memory, and no substitute for
    /// bytes that were not captured.
    pub fn is_captured(self) -> bool {
        !self.flag("buffer_not_captured")
    }
}
