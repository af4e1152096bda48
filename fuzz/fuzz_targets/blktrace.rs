//! The importer of blktrace's text.
#![no_main]

libfuzzer_sys::fuzz_target!(init: reanimator_fuzz::allow_caught_panics(), |input: &[u8]| {
    reanimator_fuzz::import_file(input, interop::text::blktrace::import);
});
