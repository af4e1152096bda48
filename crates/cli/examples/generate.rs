//! Writes a journal of so many calls, as a killed recorder would leave it: `generate TRACE CALLS`.
//! For benchmarks.

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/e2e/harness/forge.rs"]
mod forge;

fn main() {
    let mut args = std::env::args_os().skip(1);
    let trace = args.next().expect("usage: generate TRACE CALLS");
    let calls =
        args.next().and_then(|n| n.to_str()?.parse().ok()).expect("usage: generate TRACE CALLS");
    forge::generate(trace.as_ref(), calls);
}
