//! Storage that fails at the n-th operation, for every n: nothing that was recorded is lost, and
//! the next attempt ends well.

use super::*;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trace::storage::{Disk, Sink, Storage};

/// Storage whose disk is full after some operations. A write then stops half way.
pub(super) struct Failing {
    /// How many operations still succeed.
    pub left: Arc<AtomicU64>,
}

struct FailingSink {
    sink: Box<dyn Sink>,
    left: Arc<AtomicU64>,
}

/// Counts an operation. Fails if the disk is full.
fn count_operation(left: &AtomicU64) -> io::Result<()> {
    let spent = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    spent.map(drop).map_err(|_| io::ErrorKind::StorageFull.into())
}

impl Write for FailingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(e) = count_operation(&self.left) {
            let _ = self.sink.write(&bytes[..bytes.len() / 2]);
            return Err(e);
        }
        self.sink.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl Sink for FailingSink {
    fn sync(&mut self) -> io::Result<()> {
        count_operation(&self.left)?;
        self.sink.sync()
    }
}

impl Storage for Failing {
    fn create(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>> {
        count_operation(&self.left)?;
        Ok(Box::new(FailingSink { sink: Disk.create(dir, name)?, left: self.left.clone() }))
    }
    fn rename(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        count_operation(&self.left)?;
        Disk.rename(dir, from, to)
    }
    fn remove(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        count_operation(&self.left)?;
        Disk.remove(dir, name)
    }
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> io::Result<()> {
        count_operation(&self.left)?;
        Disk.sync_dir(dir)
    }
}

fn items() -> Vec<Item> {
    let mut items: Vec<Item> =
        (0..30).map(|n| read_call(1, 100 + n * 10, 105 + n * 10, b"some bytes")).collect();
    items.insert(25, read_call(2, 101, 348, b"late"));
    items.push(Item::Event(Event {
        time: 9999,
        kind: RecordKind::Exit,
        pid: 1,
        tid: 1,
        args: [0; 6],
        payloads: Vec::new(),
    }));
    items
}

#[test]
fn sealing_fails_at_every_operation() {
    let items = items();
    let mut failures = 0;
    for n in 0..1000 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ra");
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let recording = Recording::create_on(
            Arc::new(Failing { left: left.clone() }),
            &path,
            recording_info(),
            model_of_empty_machine(),
        )
        .unwrap();
        let mut journal = recording.journal(0).unwrap();
        items.iter().for_each(|i| write_item(&mut journal, i));
        journal.finish().unwrap();
        left.store(n, Ordering::Relaxed);
        let sealed = with_limits(recording, Limits { rows: 10, bytes: 1 << 20 })
            .seal(finished_end(), &mut |_, _| {});
        let died = sealed.is_err();
        if let Err(e) = sealed {
            failures += 1;
            assert!(matches!(e, Error::Full { .. }), "operation {n}: {e:?}");
            assert!(e.to_string().contains("free space, then run `reanimator recover "), "{e}");
            assert!(path.join("journal/00000").exists(), "operation {n}");
        }
        let trace = open_recovered(&path).unwrap().0;
        assert_eq!(canonical(&read_items(&trace, true)), canonical(&items), "operation {n}");
        assert!(!path.join("journal").exists() && !path.join("trace.json.new").exists());
        // Only the note that the recording has ended can be lost.
        assert!(
            trace.summary().verdict == Verdict::Complete || n < 5,
            "operation {n}: {:?}",
            trace.summary().reasons
        );
        if !died && left.load(Ordering::Relaxed) > 0 {
            assert!(failures > 20, "{failures}");
            return;
        }
    }
    panic!("sealing takes more than 1000 operations");
}

#[test]
fn journals_fail_at_every_operation() {
    for n in 0..30 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ra");
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let recording = Recording::create_on(
            Arc::new(Failing { left: left.clone() }),
            &path,
            recording_info(),
            model_of_empty_machine(),
        )
        .unwrap();
        left.store(n, Ordering::Relaxed);
        let mut written = 0;
        let mut go = || -> Result<(), Error> {
            let mut journal: Journal = recording.journal(0)?;
            for i in 0..20 {
                journal.begin(header_of(&read_call(1, i, i, b"")));
                journal.add_payload(PayloadHeader::default(), b"bytes");
                journal.commit()?;
                if let Err(e) = journal.flush() {
                    assert!(e.is_full());
                    assert!(matches!(journal.commit(), Err(Error::JournalFailed)));
                    assert!(matches!(journal.flush(), Err(Error::JournalFailed)));
                    return Err(e);
                }
                written += 1;
            }
            journal.finish()
        };
        let failed = go().is_err();
        // So little is not made durable by itself.
        assert_eq!(failed, n < 21);
        drop(recording);
        let (trace, recovered) = open_recovered(&path).unwrap();
        assert!(recovered);
        assert_eq!(trace.summary().verdict, Verdict::Incomplete);
        assert_eq!(trace.summary().calls, written);
        assert_eq!(read_items(&trace, true).len() as u64, written);
    }
}
