//! The offsets of extents in a DataSeries file, the unit of its times, and the library that wrote
//! it, which are not in its header.

use super::stream::Row;
use crate::Error;
use crate::dataseries::LEFT_OUT;
use crate::dataseries::records::arguments;
use ::import::Fork;
use ahash::HashMap;
use dataseries_file::{Extent, Reader};
use std::path::Path;

/// Times looked at to find out what they count.
const SAMPLE: usize = 64;
/// The types whose records make threads.
const FORKS: [&str; 3] = ["clone", "fork", "vfork"];

/// What stands where in a file.
pub(crate) struct Index {
    /// Each type's name, and where its extents stand.
    pub types: Vec<(String, Vec<u64>)>,
    /// Calls that made threads: record's times, parent, child, flags.
    made: Vec<(i64, u32, u32, u64)>,
    /// Some times: called, recorded.
    pub sample: Vec<(i64, i64)>,
    /// Why the file was not read to its end.
    pub damage: Option<String>,
    /// The original library wrote the file: what it writes wrongly is not to be trusted.
    pub original: bool,
    /// We wrote it.
    pub ours: bool,
    /// The umask at the beginning.
    pub umask: Option<u32>,
    /// Whether the file has the record that our exporter writes.
    first: bool,
}

impl Index {
    /// Reads the whole file once, and collects what the import has to know beforehand.
    pub fn scan(path: &Path) -> Result<Self, Error> {
        let mut reader = Reader::open(path)?;
        let ours = reader.types.get(LEFT_OUT).is_some();
        let mut this = Self {
            ours,
            types: Vec::new(),
            made: Vec::new(),
            sample: Vec::new(),
            damage: None,
            original: !ours,
            umask: None,
            first: false,
        };
        let mut known: HashMap<String, usize> = HashMap::default();
        loop {
            let some = this.sample.len() < SAMPLE;
            let short = |kind: &str| kind.strip_prefix(arguments::PREFIX).map(str::to_owned);
            let forks = |kind: &str| short(kind).is_some_and(|k| FORKS.contains(&k.as_str()));
            let masks = |kind: &str| short(kind).as_deref() == Some("umask");
            let wanted = |kind: &str| some || forks(kind) || (!this.first && masks(kind));
            let (place, extent) = match reader.next_extent_if(wanted) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(e) => {
                    this.damage = Some(e.to_string());
                    break;
                }
            };
            match known.get(&place.kind) {
                Some(i) => this.types[*i].1.push(place.offset),
                None => {
                    known.insert(place.kind.clone(), this.types.len());
                    this.types.push((place.kind.clone(), vec![place.offset]));
                }
            }
            if let Some(extent) = extent {
                this.scan_extent(&extent, forks(&place.kind));
                if !this.first && masks(&place.kind) {
                    this.read_first_record(&extent);
                }
            }
        }
        Ok(this)
    }

    /// Reads the first record of a file, which has the umask. The original library writes all its
    /// flags as set.
    fn read_first_record(&mut self, extent: &Extent) {
        let Some(row) = (0..extent.records)
            .map(|i| Row { extent, i })
            .find(|row| row.int("unique_id") == Some(0))
        else {
            return;
        };
        self.first = true;
        let Some(mask) = row.int("mode_value") else { return };
        self.umask = Some(mask as u32 & 0o777);
        // Files that our exporter wrote before it had that record have them right.
        self.original &= row.flag("mode_uid") || mask & 0o4000 != 0;
    }

    /// Collects from an extent a sample of times and, if `forks`, the threads that its calls
    /// started.
    fn scan_extent(&mut self, extent: &Extent, forks: bool) {
        for i in 0..extent.records {
            let row = Row { extent, i };
            if let (Some(called), recorded, true) = (
                row.int("time_called"),
                row.int("time_recorded"),
                self.sample.len() < SAMPLE && row.int("unique_id") != Some(0),
            ) {
                self.sample.push((called, recorded.unwrap_or(0)));
            }
            let child =
                row.int("return_value").and_then(|c| u32::try_from(c).ok()).filter(|c| *c > 0);
            if let (true, Some(child), Some(parent)) = (forks, child, row.tid()) {
                self.made.push((
                    row.int("time_called").unwrap_or(0),
                    parent,
                    child,
                    row.int("flag_value").unwrap_or(0).cast_unsigned(),
                ));
            }
        }
    }

    /// Returns the starts of threads, by thread id.
    pub fn forks(&self, clock: Clock) -> HashMap<u32, Vec<Fork>> {
        let mut forks: HashMap<u32, Vec<Fork>> = HashMap::default();
        for (called, parent, child, flags) in &self.made {
            forks.entry(*child).or_default().push(Fork {
                parent: *parent,
                flags: *flags,
                time: clock.to_nanos(*called).unwrap_or(0),
            });
        }
        forks.values_mut().for_each(|f| f.sort_by_key(|f| f.time));
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
    /// Seconds; `time_recorded`, in nanoseconds, is better.
    Recorded,
}

impl Clock {
    /// Guesses the unit of times from some of them.
    pub fn guess_unit(sample: &[(i64, i64)]) -> Self {
        match sample.iter().map(|(called, _)| *called).max() {
            Some(v) if (500_000_000..5_000_000_000).contains(&v) => Self::Recorded,
            Some(v) if (800_000_000_000_000_000..4_500_000_000_000_000_000).contains(&v) => {
                Self::Nanos
            }
            Some(_) => Self::Tfrac,
            None => Self::Nanos,
        }
    }
    /// Converts a time to nanoseconds since 1970. Returns `None` if it is out of range.
    pub fn to_nanos(self, v: i64) -> Option<u64> {
        let v = u64::try_from(v).ok()?;
        Some(match self {
            Self::Nanos => v,
            Self::Tfrac => from_tfrac(v).0 * 1_000_000_000 + from_tfrac(v).1,
            Self::Recorded if v < 5_000_000_000 => v * 1_000_000_000,
            Self::Recorded => v,
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
pub(crate) fn from_tfrac(v: u64) -> (u64, u64) {
    (v >> 32, ((v & 0xffff_ffff) * 1_000_000_000 + (1 << 31)) >> 32)
}
