//! Operations by a ring and by a context, without a replay around them.

use super::{Entry, RingSpec};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Makes the entry that reads 8 bytes at `offset` into `to`.
fn read(name: &str, file: &File, to: &mut [u8; 8], offset: usize) -> Entry {
    let row = abi::by_name(name).expect("a row");
    let values = [file.as_raw_fd() as usize, to.as_mut_ptr() as usize, to.len(), offset, 0, 0];
    Entry::new(row.number, &row.operation.expect("an operation"), 0, &values)
}

/// Each operation completes once, under its id, with its own bytes, however many there are.
#[test]
fn each_operation_completes_once() {
    let kinds = [
        (RingSpec::Uring { entries: 2, completions: 8, flags: u32::MAX }, "uring_read_fixed"),
        (RingSpec::Uring { entries: 4, completions: 0, flags: 0 }, "uring_read"),
        (RingSpec::Context { events: 4 }, "aio_pread"),
    ];
    let file = tempfile::tempfile().expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 100], 0).expect("written");
    for (spec, name) in kinds {
        // Not every machine lets everybody make one.
        let Ok(mut ring) = spec.make() else { continue };
        let mut buffers = [[0u8; 8]; 30];
        let mut done = BTreeSet::new();
        for (id, buffer) in buffers.iter_mut().enumerate() {
            while !ring.has_room() {
                ring.enter(Duration::from_secs(1));
                done.extend(std::iter::from_fn(|| ring.take()));
            }
            let entry = read(name, &file, buffer, id * 4);
            assert!(ring.supports(&entry), "{name}");
            ring.add(&entry, id as u32);
        }
        while ring.under_way() > 0 {
            ring.enter(Duration::from_secs(1));
            done.extend(std::iter::from_fn(|| ring.take()));
        }
        let moved = |id: usize| 100usize.saturating_sub(id * 4).min(8);
        let expected = (0..30).map(|id| (id as u32, moved(id) as i64)).collect();
        assert_eq!(done, expected, "{name}");
        for (id, buffer) in buffers.iter().enumerate() {
            assert!(buffer[..moved(id)].iter().all(|byte| *byte == 7), "{name}: {id}");
        }
    }
}

/// What is under way when a ring is dropped is waited for.
#[test]
fn dropping_waits() {
    let file = tempfile::tempfile().expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 8], 0).expect("written");
    for (spec, name) in [
        (RingSpec::Uring { entries: 4, completions: 0, flags: 0 }, "uring_read"),
        (RingSpec::Context { events: 4 }, "aio_pread"),
    ] {
        let Ok(mut ring) = spec.make() else { continue };
        let mut buffer = [0; 8];
        ring.add(&read(name, &file, &mut buffer, 0), 0);
        ring.enter(Duration::ZERO);
        drop(ring);
        assert_eq!(buffer, [7; 8], "{name}");
    }
}
