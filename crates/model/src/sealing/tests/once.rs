//! Sealing reads the segments that it has written once.

use super::*;
use rustix::fs::inotify;
use std::mem::MaybeUninit;

/// How often the segments of a trace are opened while it is sealed.
fn opens(model: Model) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let recording = Recording::create(&path, recording_info(), Arc::new(model)).unwrap();
    let recording = with_limits(recording, Limits { rows: 10, bytes: 64 << 20 });
    let mut journal = recording.journal(0).unwrap();
    for n in 0..25 {
        write_item(&mut journal, &read_call(1, 100 + n * 10, 105 + n * 10, b"data"));
    }
    journal.finish().unwrap();
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    let watch = inotify::init(flags).unwrap();
    inotify::add_watch(&watch, &path, inotify::WatchFlags::OPEN).unwrap();
    recording.seal(finished_end(), &mut |_, _| {}).unwrap();
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watch, &mut buffer);
    let mut opened = 0;
    while let Ok(event) = events.next() {
        let name = event.file_name().unwrap_or_default().to_bytes();
        opened += usize::from(name.starts_with(b"calls-"));
    }
    opened
}

/// The names that renames made are needed where the file system is looked at afterwards.
#[test]
fn a_look_at_the_file_system_needs_no_second_read() {
    let once = opens(Model::foreign());
    assert!(once >= 3, "there are three segments");
    assert_eq!(opens(Model::of(Empty)), once);
}
