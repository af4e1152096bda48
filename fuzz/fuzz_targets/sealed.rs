//! A sealed trace is opened, read and exported. The files of an input are the trace's; hashes are
//! put right.
#![no_main]

use interop::export::FORMATS;
use reanimator_fuzz::{allow_caught_panics, put_right_hashes, read, scratch, unpack, write};

libfuzzer_sys::fuzz_target!(init: allow_caught_panics(), |input: &[u8]| {
    let dir = scratch();
    let path = dir.path().join("t.ra");
    let mut files = unpack(input, &path);
    put_right_hashes(&mut files);
    write(&files, &path);
    if read(&path).is_err() {
        return;
    }
    let trace = trace::Trace::open(&path).expect("it could be opened a moment ago");
    for (i, format) in FORMATS.iter().enumerate() {
        let _refused = format.export(&trace, &dir.path().join(i.to_string()), &mut |_, _| {});
    }
});
