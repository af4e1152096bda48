//! The importer of CTF traces: the metadata and the streams are the files of an input.
#![no_main]

use reanimator_fuzz::{allow_caught_panics, import, scratch, unpack};

libfuzzer_sys::fuzz_target!(init: allow_caught_panics(), |input: &[u8]| {
    let dir = scratch();
    let from = dir.path().join("ctf");
    unpack(input, &from);
    import(&from, &dir.path().join("out.ra"), interop::ctf::import);
});
