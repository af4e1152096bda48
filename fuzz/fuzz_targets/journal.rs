//! A trace whose recorder was killed is recovered. The files of an input are the trace's; lengths
//! and checksums of the journals' frames are put right. What recovery seals must be readable.
#![no_main]

use reanimator_fuzz::{allow_caught_panics, put_right_frames, read, scratch, unpack, write};

libfuzzer_sys::fuzz_target!(init: allow_caught_panics(), |input: &[u8]| {
    let dir = scratch();
    let path = dir.path().join("t.ra");
    let mut files = unpack(input, &path);
    for (_, journal) in files.iter_mut().filter(|(name, _)| name.starts_with("journal/")) {
        put_right_frames(journal);
    }
    write(&files, &path);
    if model::recover(&path, &mut |_, _| {}).is_ok_and(|recovered| recovered) {
        read(&path).expect("a trace that was just recovered can be read");
    }
});
