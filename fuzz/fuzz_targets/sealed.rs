//! A sealed trace is opened, its columns are counted, and it is read and exported. The files of an input are the trace's; hashes are
//! put right.
#![no_main]

use analyze::{By, Order, Request, Selection, SortBy};
use interop::export::FORMATS;
use reanimator_fuzz::{allow_caught_panics, put_right_hashes, read, scratch, unpack, write};

libfuzzer_sys::fuzz_target!(init: allow_caught_panics(), |input: &[u8]| {
    let dir = scratch();
    let path = dir.path().join("t.ra");
    let mut files = unpack(input, &path);
    put_right_hashes(&mut files);
    write(&files, &path);
    if let Ok(trace) = trace::Trace::open(&path) {
        count(&trace);
    }
    if read(&path).is_err() {
        return;
    }
    let trace = trace::Trace::open(&path).expect("it could be opened a moment ago");
    for (i, format) in FORMATS.iter().enumerate() {
        let _refused = format.export(&trace, &dir.path().join(i.to_string()), &mut |_, _| {});
    }
});

/// Reads all columns that statistics can need.
fn count(trace: &trace::Trace) {
    for by in [[By::Call, By::File, By::Size], [By::Thread, By::Errno, By::Fs]] {
        let selection = Selection {
            number: Some(&|nr| nr != 1),
            path: Some(&|path| !path.ends_with(b"x")),
            ..Selection::default()
        };
        let _refused = analyze::stat(
            trace,
            &Request {
                by: by.to_vec(),
                interval: Some(1000),
                selection,
                order: Order { by: SortBy::Wall, top: 20 },
                quantiles: true,
            },
        );
    }
}
