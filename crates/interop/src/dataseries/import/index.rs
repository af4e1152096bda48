//! What a first reading of a DataSeries file finds: the offsets of its extents, the unit of its
//! times, and the library that wrote it, which are not in its header.

use super::stream::Row;
use crate::Error;
use crate::dataseries::LEFT_OUT;
use crate::dataseries::records::arguments;
use ::import::Fork;
use ahash::HashMap;
use dataseries_file::{Extent, Reader};
use std::path::Path;

/// How many times are used to guess their unit.
const SAMPLE: usize = 64;
/// The calls that start threads or processes, by the last part of their record type's name.
const FORKS: [&str; 3] = ["clone", "fork", "vfork"];

/// What a first reading of a file found.
pub(crate) struct Index {
    /// Each type's name, and the offsets of its extents.
    pub types: Vec<(String, Vec<u64>)>,
    /// The calls that started threads.
    fork_records: Vec<ForkRecord>,
    /// The fields `time_called` and `time_recorded` of some records.
    pub sample: Vec<(i64, i64)>,
    /// Why the file was not read to its end, if it was not.
    pub damage: Option<String>,
    /// Whether the original library wrote the file: what it writes wrongly is not to be trusted.
    pub original: bool,
    /// Whether our exporter wrote it.
    pub ours: bool,
    /// The umask at the beginning, if the file has it.
    pub umask: Option<u32>,
    /// Whether the record with the `unique_id` 0, which has the umask, was found.
    found_first_record: bool,
}

/// A record of a call that started a thread or process.
struct ForkRecord {
    /// The field `time_called`.
    called: i64,
    /// The id of the thread that called.
    parent: u32,
    /// The id of the new thread.
    child: u32,
    /// The flags of clone(2).
    flags: u64,
}

impl Index {
    /// Reads the whole file once, and collects what the import has to know beforehand. An error in
    /// the middle of the file only ends the reading, and is kept in `damage`.
    pub fn scan(path: &Path) -> Result<Self, Error> {
        let mut reader = Reader::open(path)?;
        let ours = reader.types.get(LEFT_OUT).is_some();
        let mut this = Self {
            ours,
            types: Vec::new(),
            fork_records: Vec::new(),
            sample: Vec::new(),
            damage: None,
            original: !ours,
            umask: None,
            found_first_record: false,
        };
        let mut type_indices: HashMap<String, usize> = HashMap::default();
        loop {
            let needs_sample = this.sample.len() < SAMPLE;
            let needs_first = !this.found_first_record;
            let call =
                |type_name: &str| type_name.strip_prefix(arguments::PREFIX).map(str::to_owned);
            let is_fork = |type_name: &str| {
                call(type_name).is_some_and(|name| FORKS.contains(&name.as_str()))
            };
            let is_umask = |type_name: &str| call(type_name).as_deref() == Some("umask");
            let wanted = |type_name: &str| {
                needs_sample || is_fork(type_name) || (needs_first && is_umask(type_name))
            };
            let (place, extent) = match reader.next_extent_if(wanted) {
                Ok(Some(place_and_extent)) => place_and_extent,
                Ok(None) => break,
                Err(e) => {
                    this.damage = Some(e.to_string());
                    break;
                }
            };
            match type_indices.get(&place.type_name) {
                Some(index) => this.types[*index].1.push(place.offset),
                None => {
                    type_indices.insert(place.type_name.clone(), this.types.len());
                    this.types.push((place.type_name.clone(), vec![place.offset]));
                }
            }
            if let Some(extent) = extent {
                this.scan_extent(&extent, is_fork(&place.type_name));
                if !this.found_first_record && is_umask(&place.type_name) {
                    this.read_first_record(&extent);
                }
            }
        }
        Ok(this)
    }

    /// Takes the umask from the first record of a file, which has the `unique_id` 0, if it is in
    /// this extent. Its flags show who wrote the file: the original library writes all of them as
    /// set.
    fn read_first_record(&mut self, extent: &Extent) {
        let Some(row) = (0..extent.records)
            .map(|index| Row { extent, index })
            .find(|row| row.int("unique_id") == Some(0))
        else {
            return;
        };
        self.found_first_record = true;
        let Some(mask) = row.int("mode_value") else { return };
        self.umask = Some(mask as u32 & 0o777);
        // Older versions of our exporter wrote no type `LEFT_OUT`, but they wrote the flags right.
        self.original &= row.flag("mode_uid") || mask & 0o4000 != 0;
    }

    /// Collects from an extent a sample of times and, if its calls start threads (`are_forks`),
    /// these calls.
    fn scan_extent(&mut self, extent: &Extent, are_forks: bool) {
        for index in 0..extent.records {
            let row = Row { extent, index };
            if let (Some(called), recorded, true) = (
                row.int("time_called"),
                row.int("time_recorded"),
                self.sample.len() < SAMPLE && row.int("unique_id") != Some(0),
            ) {
                self.sample.push((called, recorded.unwrap_or(0)));
            }
            let child =
                row.int("return_value").and_then(|c| u32::try_from(c).ok()).filter(|c| *c > 0);
            if let (true, Some(child), Some(parent)) = (are_forks, child, row.tid()) {
                self.fork_records.push(ForkRecord {
                    called: row.int("time_called").unwrap_or(0),
                    parent,
                    child,
                    flags: row.int("flag_value").unwrap_or(0).cast_unsigned(),
                });
            }
        }
    }

    /// Returns the starts of threads, by the id of the new thread, in the order of their times.
    pub fn forks(&self, clock: Clock) -> HashMap<u32, Vec<Fork>> {
        let mut forks: HashMap<u32, Vec<Fork>> = HashMap::default();
        for ForkRecord { called, parent, child, flags } in &self.fork_records {
            forks.entry(*child).or_default().push(Fork {
                parent: *parent,
                flags: *flags,
                time: clock.to_nanos(*called).unwrap_or(0),
            });
        }
        forks.values_mut().for_each(|starts| starts.sort_by_key(|fork| fork.time));
        forks
    }
}

/// The unit of the times of a file, which is guessed from their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Nanoseconds since 1970.
    Nanos,
    /// 2^-32 s since 1970, or since the machine's start.
    Tfrac,
    /// Whole seconds: the field `time_recorded`, which is in nanoseconds, is used instead.
    Recorded,
}

impl Clock {
    /// Guesses the unit of times from the largest `time_called` of a sample.
    pub fn guess_unit(sample: &[(i64, i64)]) -> Self {
        // Plausible times are those of the years 1985 to 2128, and in nanoseconds 1995 to 2112.
        let seconds = 500_000_000..5_000_000_000;
        let nanos = 800_000_000_000_000_000..4_500_000_000_000_000_000;
        match sample.iter().map(|(called, _)| *called).max() {
            Some(time) if seconds.contains(&time) => Self::Recorded,
            Some(time) if nanos.contains(&time) => Self::Nanos,
            Some(_) => Self::Tfrac,
            None => Self::Nanos,
        }
    }
    /// Converts a time to nanoseconds since 1970. Returns `None` if it is out of range.
    pub fn to_nanos(self, time: i64) -> Option<u64> {
        let time = u64::try_from(time).ok()?;
        Some(match self {
            Self::Nanos => time,
            Self::Tfrac => {
                let (seconds, nanos) = from_tfrac(time);
                seconds * 1_000_000_000 + nanos
            }
            Self::Recorded if time < 5_000_000_000 => time * 1_000_000_000,
            Self::Recorded => time,
        })
    }
    /// Returns a note for the user about the unit.
    pub fn note(self) -> &'static str {
        match self {
            Self::Nanos => "its times are nanoseconds since 1970",
            Self::Tfrac => "its times are in 2^-32 seconds",
            Self::Recorded => {
                "its times are whole seconds: the times at which the library stored the records \
                 are used, and durations are unknown"
            }
        }
    }
}

/// Converts a time in units of 2^-32 s to seconds and nanoseconds.
pub(crate) fn from_tfrac(time: u64) -> (u64, u64) {
    let nanoseconds = ((time & 0xffff_ffff) * 1_000_000_000 + (1 << 31)) >> 32;
    (time >> 32, nanoseconds.min(999_999_999))
}
