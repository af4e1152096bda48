//! Reads the calls of a segment that are selected, each with its group.

use super::By;
use super::labels::{ALWAYS, Calls, Key};
use super::paths::{self, Mounts};
use super::request::{Request, Selection};
use abi::IoClass;
use arrow_array::{Array, Int64Array};
use trace::document::Segment;
use trace::{Error, Trace};

/// What a pass over the calls of a trace needs.
pub(super) struct Scan<'a> {
    trace: &'a Trace,
    pub request: &'a Request<'a>,
    columns: Vec<&'static str>,
    pub keys: Vec<Key>,
    mounts: Mounts,
    /// The time of the first call, and the times between which calls are entered that are counted,
    /// in nanoseconds of the trace's clock.
    first: u64,
    from: u64,
    until: u64,
}

/// The group of a call: the numbers of its keys' texts, the interval, and whether it waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Group {
    pub interval: u32,
    pub keys: [u32; 3],
    pub waits: bool,
}

/// A call that is selected.
pub(super) struct Counted {
    pub group: Group,
    /// Nanoseconds of the trace's clock.
    pub entered: u64,
    /// Nanoseconds; `None`: it did not return.
    pub duration: Option<i64>,
    pub failed: bool,
    pub bytes: Option<i64>,
}

impl<'a> Scan<'a> {
    /// Prepares to read what the request needs.
    pub fn new(trace: &'a Trace, request: &'a Request<'a>) -> Result<Self, Error> {
        let keys = request.by.iter().map(|by| Key::new(*by, trace)).collect::<Result<_, _>>()?;
        let selection = &request.selection;
        let first = trace.summary().first.unwrap_or(0);
        let since = |time: Option<u64>| time.map(|time| first.saturating_add(time));
        Ok(Self {
            trace,
            request,
            columns: columns(request),
            keys,
            mounts: Mounts::new(&trace.recording_info().mounts),
            first,
            from: since(selection.from).unwrap_or(0),
            until: since(selection.until).unwrap_or(u64::MAX),
        })
    }

    /// Returns the segments that may hold calls that are selected, in the order of their first row.
    pub fn segments(&self) -> Vec<&'a Segment> {
        let all = self.trace.segments().iter();
        let mut segments: Vec<&Segment> =
            all.filter(|s| s.first < self.until && s.last >= self.from).collect();
        segments.sort_by_key(|s| (s.first, !s.late));
        segments
    }

    /// Returns the time from the first call to the last return, or the part of it that is selected,
    /// in nanoseconds.
    pub fn elapsed(&self) -> u64 {
        let last = self.trace.summary().last.unwrap_or(self.first);
        last.min(self.until).saturating_sub(self.first.max(self.from))
    }

    /// Passes each selected call of a segment to `each`, in the order of entry.
    pub fn each_call(
        &self,
        segment: &Segment,
        mut each: impl FnMut(&Counted),
    ) -> Result<(), Error> {
        let file = &segment.sealed.file;
        let mut batches = self.trace.columns(&segment.sealed, &self.columns)?;
        if batches.rows() != segment.rows {
            return Err(Error::damaged(file, "it has more or fewer rows than trace.json says"));
        }
        let mut time = 0;
        while let Some(batch) = batches.next() {
            let is_null = |column: &str| batches.is_null(column);
            let calls = Calls::new(file, &batch?, &self.columns, &is_null)?;
            self.each_of_batch(&calls, &mut time, &mut each)
                .ok_or_else(|| Error::damaged(file, "its rows are not in the order of entry"))?;
        }
        Ok(())
    }

    /// Passes each selected call of a batch to `each`. `time` is that of the last row before it.
    /// Returns `None` if rows are not in the order of entry.
    fn each_of_batch(
        &self,
        calls: &Calls,
        time: &mut u64,
        each: &mut impl FnMut(&Counted),
    ) -> Option<()> {
        let classes = calls.classes();
        let selected = self.selected(calls);
        let keys: Vec<Vec<u32>> =
            self.keys.iter().map(|key| key.numbers(calls, &classes, &self.mounts)).collect();
        let interval = self.request.interval.unwrap_or(u64::MAX).max(1);
        let or_null = |column: &Int64Array, i: usize| (!column.is_null(i)).then(|| column.value(i));
        for i in 0..calls.rows {
            let entered = calls.entered.value(i) as u64;
            if entered < *time {
                return None;
            }
            *time = entered;
            if entered < self.from
                || entered >= self.until
                || selected.as_ref().is_some_and(|selected| !selected[i])
            {
                continue;
            }
            let mut group = Group { waits: classes[i] == IoClass::Wait, ..Group::default() };
            for (number, of_rows) in group.keys.iter_mut().zip(&keys) {
                *number = of_rows[i];
            }
            if self.request.interval.is_some() {
                let passed = entered.saturating_sub(self.first) / interval;
                group.interval = u32::try_from(passed).unwrap_or(u32::MAX);
            }
            each(&Counted {
                group,
                entered,
                duration: or_null(&calls.duration, i),
                failed: calls.error.key(i).is_some(),
                bytes: or_null(&calls.bytes, i),
            });
        }
        Some(())
    }

    /// Returns for each row whether it is selected, apart from its time; `None`: all are.
    fn selected(&self, calls: &Calls) -> Option<Vec<bool>> {
        let Selection { number, without, path, without_system, .. } = self.request.selection;
        if number.is_none() && without == [false; 3] && path.is_none() && !without_system {
            return None;
        }
        let mut selected = vec![true; calls.rows];
        let mut keep = |test: &dyn Fn(usize) -> bool| {
            selected.iter_mut().enumerate().for_each(|(i, keeps)| *keeps = *keeps && test(i));
        };
        if let (Some(number), Some(nr)) = (number, &calls.nr) {
            keep(&|i| number(nr.value(i)));
        }
        if without != [false; 3] {
            keep(&|i| match (calls.duration.is_null(i), calls.error.key(i)) {
                (true, _) => !without[2],
                (false, Some(_)) => !without[1],
                (false, None) => !without[0],
            });
        }
        if without_system {
            let of_system = calls.test_files(paths::is_system);
            keep(&|i| !of_system[i]);
        }
        if let Some(test) = path {
            let has = calls.test_paths(&|text| test(&trace::text::unescape(text)));
            keep(&|i| has[i]);
        }
        Some(selected)
    }
}

/// Returns the names of the columns that the request needs.
fn columns(request: &Request<'_>) -> Vec<&'static str> {
    let mut columns = ALWAYS.to_vec();
    columns.extend(request.by.iter().copied().flat_map(By::columns));
    let selection = &request.selection;
    if selection.number.is_some() {
        columns.push("nr");
    }
    if selection.path.is_some() {
        columns.extend(["path", "path2"]);
    }
    if selection.without_system {
        columns.push("path");
    }
    columns.sort_unstable();
    columns.dedup();
    columns
}
