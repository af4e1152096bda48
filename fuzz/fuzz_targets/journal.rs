//! A trace whose recorder was killed is recovered. The files of an input are the trace's; lengths
//! and checksums of the journals' frames are put right. What recovery seals must be readable.
#![no_main]

use reanimator_fuzz::{allow_caught_panics, read, recover, scratch};

libfuzzer_sys::fuzz_target!(init: allow_caught_panics(), |input: &[u8]| {
    let dir = scratch();
    if let Some(path) = recover(input, dir.path()) {
        read(&path).expect("a trace that was just recovered can be read");
    }
});
