//! Checks that sealing while the journals are written gives the same files as sealing afterwards.

use super::*;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trace::storage::{Disk, Sink, Storage};

const LIMITS: Limits = Limits { rows: 7, bytes: 20_000 };

/// Creates a trace with small segments.
fn create(path: &Path) -> Recording {
    with_limits(super::create(path), LIMITS)
}

/// Creates a trace on other storage.
fn create_on(storage: impl Storage + 'static, path: &Path) -> Recording {
    with_limits(
        Recording::create_on(Arc::new(storage), path, recording_info(), model_of_empty_machine())
            .unwrap(),
        LIMITS,
    )
}

/// Writes an item as an engine does: the record of a call that did not return has the time at which
/// that was found out.
fn write_item_with_time(journal: &mut Journal, item: &Item) {
    journal.begin(Header { left: record_time(item), ..header_of(item) });
    for payload in payloads_of(item) {
        journal.add_payload(payload_header_of(payload), &payload.bytes);
    }
    journal.commit().unwrap();
}

/// Writes the items, `chunk` at a time, and seals what the journals hold each time. Returns the
/// summary of the sealed trace.
fn record_and_seal_ahead(path: &Path, items: &[Item], streams: u32, chunk: usize) -> Summary {
    let recording = create(path);
    let mut journals: Vec<_> = (0..streams).map(|n| recording.journal(n).unwrap()).collect();
    let mut sealed_ahead = recording.seal_ahead(u64::MAX).unwrap();
    let mut rest = items;
    while !rest.is_empty() {
        let (written, remaining) = rest.split_at(chunk.min(rest.len()));
        written.iter().for_each(|item| {
            write_item_with_time(&mut journals[(header_of(item).tid % streams) as usize], item);
        });
        // The last one may still be on its way when its time has come.
        journals.iter_mut().skip(remaining.len() % 2).for_each(|j| j.flush().unwrap());
        if remaining.len().is_multiple_of(2) {
            let until = remaining.first().map_or(0, record_time).saturating_sub(1);
            sealed_ahead.seal_until(until, || true).unwrap();
        }
        rest = remaining;
    }
    journals.into_iter().for_each(|j| j.finish().unwrap());
    recording.keep_sealed_ahead(Some(sealed_ahead));
    recording.seal(finished_end(), &mut |_, _| {}).unwrap()
}

/// Returns the names and hashes of all files of a trace.
fn file_hashes(path: &Path) -> Vec<(String, String)> {
    let trace = Trace::open(path).unwrap();
    trace.sealed().map(|s| (s.file.clone(), s.blake3.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sealed_along_or_afterwards(mut items in prop::collection::vec(any_item(), 0..60), streams in 1u32..4, chunk in 1usize..20) {
        items.sort_by_key(record_time);
        // What is made at one moment in several streams has no order.
        items.dedup_by_key(|i| record_time(i));
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("t.ra"), dir.path().join("u.ra"));
        let sealed = record_and_seal_ahead(&one, &items, streams, chunk);
        let afterwards = create(&other);
        let mut journals: Vec<_> = (0..streams).map(|n| afterwards.journal(n).unwrap()).collect();
        items.iter().for_each(|item| write_item_with_time(&mut journals[(header_of(item).tid % streams) as usize], item));
        journals.into_iter().for_each(|j| j.finish().unwrap());
        let afterwards = afterwards.seal(finished_end(), &mut |_, _| {}).unwrap();
        prop_assert_eq!(&sealed.reasons, &afterwards.reasons);
        prop_assert_eq!((sealed.calls, sealed.events, sealed.bytes_captured), (afterwards.calls, afterwards.events, afterwards.bytes_captured));
        prop_assert_eq!((sealed.threads, sealed.processes, sealed.first, sealed.last), (afterwards.threads, afterwards.processes, afterwards.first, afterwards.last));
        prop_assert_eq!(file_hashes(&one), file_hashes(&other));
        prop_assert!(canonical(&read_items(&Trace::open(&one).unwrap(), true)) == canonical(&items));
        prop_assert!(!one.join("journal").exists());
    }
}

/// Returns `n` calls of three threads, one after the other.
fn calls_of_three_threads(n: u64) -> Vec<Item> {
    (0..n)
        .map(|n| {
            read_call(1 + n as u32 % 3, 100 + n * 10, 105 + n * 10, &n.to_le_bytes().repeat(20))
        })
        .collect()
}

/// Returns the number of segments in a directory.
fn count_segments(path: &Path) -> usize {
    std::fs::read_dir(path)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("calls-"))
        .count()
}

#[test]
fn segments_are_there_before_the_end_and_count_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let items = calls_of_three_threads(50);
    let recording = create(&path);
    let mut journal = recording.journal(0).unwrap();
    items.iter().for_each(|i| write_item_with_time(&mut journal, i));
    journal.flush().unwrap();
    let mut along = recording.seal_ahead(u64::MAX).unwrap();
    assert!(along.bytes_behind().unwrap() > 10_000);
    // Up to the 40th call's return.
    along.seal_until(100 + 39 * 10 + 5, || true).unwrap();
    assert_eq!(count_segments(&path), 5);
    // A record that says that it is from before that.
    write_item_with_time(&mut journal, &read_call(9, 90, 95, b"late"));
    journal.flush().unwrap();
    along.seal_until(u64::MAX, || true).unwrap();
    assert_eq!(along.bytes_behind().unwrap(), 0);
    assert!(count_segments(&path) >= 7);
    // The recorder is killed.
    drop((journal, along, recording));
    let (trace, recovered) = open_recovered(&path).unwrap();
    let summary = trace.summary();
    assert!(recovered && summary.recovered);
    assert_eq!((summary.calls, summary.verdict), (51, Verdict::Incomplete));
    assert_eq!(trace.segments().len(), count_segments(&path));
    assert_eq!(read_items(&trace, true).len(), 51);
}

/// What comes too late is late, and nothing else.
#[test]
fn a_record_from_before_what_was_complete() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let recording = create(&path);
    let (mut one, mut two) = (recording.journal(0).unwrap(), recording.journal(1).unwrap());
    let mut items = calls_of_three_threads(30);
    items.iter().for_each(|i| write_item_with_time(&mut one, i));
    one.flush().unwrap();
    let mut along = recording.seal_ahead(u64::MAX).unwrap();
    along.seal_until(u64::MAX, || true).unwrap();
    items.push(read_call(2, 107, 109, b"late"));
    write_item_with_time(&mut two, &items[30]);
    // And a stream of which nobody knew.
    let mut three = recording.journal(2).unwrap();
    items.push(read_call(3, 207, 209, b"unknown"));
    write_item_with_time(&mut three, &items[31]);
    [one, two, three].into_iter().for_each(|j| j.finish().unwrap());
    recording.keep_sealed_ahead(Some(along));
    let summary = recording.seal(finished_end(), &mut |_, _| {}).unwrap();
    assert_eq!((summary.verdict, summary.calls), (Verdict::Complete, 32));
    let out = read_items(&Trace::open(&path).unwrap(), true);
    assert!(out.windows(2).all(|w| entry_time(&w[0]) <= entry_time(&w[1])));
    assert_eq!(canonical(&out), canonical(&items));
}

#[test]
fn it_stops_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let limits = Limits { rows: 1000, bytes: 64 << 20 };
    let recording = with_limits(super::create(&path), limits);
    let mut journal = recording.journal(0).unwrap();
    let items: Vec<Item> = (0..40)
        .map(|n| read_call(1, 100 + n * 10, 105 + n * 10, &vec![n as u8; 100_000]))
        .collect();
    items.iter().for_each(|i| write_item_with_time(&mut journal, i));
    journal.flush().unwrap();
    let mut along = recording.seal_ahead(u64::MAX).unwrap();
    let mut asked = 0;
    along
        .seal_until(u64::MAX, || {
            asked += 1;
            asked < 3
        })
        .unwrap();
    assert_eq!(asked, 3);
    assert!(along.bytes_behind().unwrap() > 2_000_000);
    journal.finish().unwrap();
    recording.keep_sealed_ahead(Some(along));
    recording.seal(finished_end(), &mut |_, _| {}).unwrap();
    assert_eq!(canonical(&read_items(&Trace::open(&path).unwrap(), true)), canonical(&items));
}

/// A disk of so many bytes.
struct Small {
    left: Arc<AtomicU64>,
}

struct SmallSink {
    sink: Box<dyn Sink>,
    used: u64,
    left: Arc<AtomicU64>,
}

impl Write for SmallSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len() as u64;
        let room =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(len));
        room.map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        self.used += len;
        self.sink.write_all(bytes)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl Sink for SmallSink {
    fn sync(&mut self) -> io::Result<()> {
        self.sink.sync()
    }
}

impl Storage for Small {
    fn create(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(SmallSink {
            sink: Disk.create(dir, name)?,
            used: 0,
            left: Arc::clone(&self.left),
        }))
    }
    fn rename(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        Disk.rename(dir, from, to)
    }
    fn remove(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        let file =
            rustix::fs::openat(dir, name, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
        let bytes = file.map_or(0, |f| std::fs::File::from(f).metadata().unwrap().len());
        self.left.fetch_add(bytes, Ordering::Relaxed);
        Disk.remove(dir, name)
    }
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> io::Result<()> {
        Disk.sync_dir(dir)
    }
}

/// Fails for want of space neither where the journals have it, nor after what was sealed along has
/// given it back; and sealing as always then.
#[test]
fn journals_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let items = calls_of_three_threads(200);
    let left = Arc::new(AtomicU64::new(u64::MAX / 2));
    let recording = create_on(Small { left: Arc::clone(&left) }, &path);
    let mut journals: Vec<Journal> = (0..2).map(|n| recording.journal(n).unwrap()).collect();
    let flush = |journals: &mut Vec<Journal>| journals.iter_mut().for_each(|j| j.flush().unwrap());
    items[..100]
        .iter()
        .for_each(|i| write_item_with_time(&mut journals[(header_of(i).tid % 2) as usize], i));
    flush(&mut journals);
    let mut along = recording.seal_ahead(u64::MAX).unwrap();
    along.seal_until(u64::MAX, || true).unwrap();
    assert!(count_segments(&path) > 10);
    // Room for one of the two journals only.
    left.store(25_000, Ordering::Relaxed);
    items[100..]
        .iter()
        .for_each(|i| write_item_with_time(&mut journals[(header_of(i).tid % 2) as usize], i));
    flush(&mut journals);
    assert_eq!(count_segments(&path), 0, "they were given back");
    assert!(matches!(along.seal_until(u64::MAX, || true), Err(Error::Full { .. })));
    journals.into_iter().for_each(|j| j.finish().unwrap());
    recording.keep_sealed_ahead(None);
    left.store(u64::MAX / 2, Ordering::Relaxed);
    let summary = recording.seal(finished_end(), &mut |_, _| {}).unwrap();
    assert_eq!(summary.verdict, Verdict::Complete, "{:?}", summary.reasons);
    assert_eq!(canonical(&read_items(&Trace::open(&path).unwrap(), true)), canonical(&items));
}

/// Sealing along fails at every operation: the recording does not notice, and is sealed afterwards.
#[test]
fn along_fails_at_every_operation() {
    use super::faults::Failing;
    let items = calls_of_three_threads(60);
    for n in 0..10_000 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ra");
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let recording = create_on(Failing { left: left.clone() }, &path);
        let mut journal = recording.journal(0).unwrap();
        items.iter().for_each(|i| write_item_with_time(&mut journal, i));
        journal.finish().unwrap();
        let mut along = recording.seal_ahead(u64::MAX).unwrap();
        left.store(n, Ordering::Relaxed);
        let went = along.seal_until(u64::MAX, || true);
        left.store(u64::MAX, Ordering::Relaxed);
        let failed = went.is_err();
        recording.keep_sealed_ahead((!failed).then_some(along));
        let summary = recording.seal(finished_end(), &mut |_, _| {}).unwrap();
        assert_eq!(summary.verdict, Verdict::Complete, "operation {n}: {:?}", summary.reasons);
        let trace = Trace::open(&path).unwrap();
        assert_eq!(canonical(&read_items(&trace, true)), canonical(&items), "operation {n}");
        assert_eq!(trace.segments().len(), count_segments(&path));
        if !failed {
            assert!(n > 10, "{n}");
            return;
        }
    }
    panic!("sealing along takes more than 10,000 operations");
}

/// What is taken over and then cannot be finished is sealed again from the journals.
#[test]
fn finishing_fails_at_every_operation() {
    use super::faults::Failing;
    let items = calls_of_three_threads(60);
    let mut failures = 0;
    for n in 0..1000 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ra");
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let recording = create_on(Failing { left: left.clone() }, &path);
        let mut journal = recording.journal(0).unwrap();
        items[..40].iter().for_each(|i| write_item_with_time(&mut journal, i));
        journal.flush().unwrap();
        let mut along = recording.seal_ahead(u64::MAX).unwrap();
        along.seal_until(u64::MAX, || true).unwrap();
        items[40..].iter().for_each(|i| write_item_with_time(&mut journal, i));
        journal.finish().unwrap();
        recording.keep_sealed_ahead(Some(along));
        left.store(n, Ordering::Relaxed);
        let sealed = recording.seal(finished_end(), &mut |_, _| {});
        let died = sealed.is_err();
        if let Err(e) = sealed {
            failures += 1;
            assert!(matches!(e, Error::Full { .. }), "operation {n}: {e:?}");
            assert!(path.join("journal/00000").exists(), "operation {n}");
        }
        let trace = open_recovered(&path).unwrap().0;
        assert_eq!(canonical(&read_items(&trace, true)), canonical(&items), "operation {n}");
        assert_eq!(trace.segments().len(), count_segments(&path), "operation {n}");
        if !died && left.load(Ordering::Relaxed) > 0 {
            assert!(failures > 20, "{failures}");
            return;
        }
    }
    panic!("finishing takes more than 1000 operations");
}
