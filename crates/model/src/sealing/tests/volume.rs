//! Long traces in bounded memory.

use super::*;
use std::time::Instant;

/// Returns the largest amount of memory that this process has had so far, in bytes. Under nextest,
/// each test is a process of its own; elsewhere the number is an upper bound.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_million_calls() {
    let calls = 1_000_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let recording = create(&path);
    let begin = Instant::now();
    let mut journal = recording.journal(0).unwrap();
    for n in 0..calls {
        let (tid, time) = (1 + n as u32 % 4, 1_000 + n * 250);
        let slow = n % 100_000 == 99_999;
        let args = [3, 0x7000_0000, 16, n * 16 % 1_000_000, 0, 0];
        journal.begin(Header {
            nr: 17,
            pid: 1,
            tid,
            entered: time - if slow { time / 2 } else { 0 },
            left: time + 900,
            ret: 16,
            args,
            ..Header::default()
        });
        journal.add_payload(
            PayloadHeader { arg: 1, flags: AT_EXIT, wanted: 16, ..PayloadHeader::default() },
            &(n / 3).to_le_bytes().repeat(2),
        );
        journal.commit().unwrap();
    }
    journal.finish().unwrap();
    let written = begin.elapsed();
    let begin = Instant::now();
    let summary = recording.seal(finished_end(), &mut |_, _| {}).unwrap();
    let (sealed, sealing) = (begin.elapsed(), peak_memory());
    assert_eq!(summary.calls, calls);
    let begin = Instant::now();
    let trace = Trace::open(&path).unwrap();
    let (mut count, mut last) = (0, 0);
    for item in trace.read(ReadOptions { data: true }) {
        let Item::Call(call) = item.unwrap() else { panic!() };
        assert!(call.entered >= last && call.payloads[0].bytes.len() == 16);
        last = call.entered;
        count += 1;
    }
    assert_eq!(count, calls);
    let (reading, disk) = (peak_memory(), summary.bytes_on_disk >> 20);
    eprintln!(
        "{calls} calls: written in {written:.1?}, sealed in {sealed:.1?} with {} MiB, read in {:.1?} with {} MiB, {disk} MiB on disk",
        sealing >> 20,
        begin.elapsed(),
        reading >> 20
    );
    assert!(sealing < 256 << 20 && reading < 256 << 20);
}

#[test]
fn much_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let recording = create(&path);
    let mut journal = recording.journal(0).unwrap();
    let mut block = vec![0u8; 64 << 10];
    let mut state = 1u64;
    for n in 0..6000u64 {
        // Half of the blocks come twice.
        if n % 2 == 0 {
            for word in block.chunks_exact_mut(8) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                word.copy_from_slice(&state.to_le_bytes());
            }
        }
        journal.begin(Header {
            pid: 1,
            tid: 1,
            entered: n,
            left: n,
            ret: 65536,
            ..Header::default()
        });
        journal.add_payload(
            PayloadHeader { arg: 1, flags: AT_EXIT, wanted: 65536, ..PayloadHeader::default() },
            &block,
        );
        journal.commit().unwrap();
    }
    journal.finish().unwrap();
    let begin = Instant::now();
    let summary = recording.seal(finished_end(), &mut |_, _| {}).unwrap();
    let (sealed, sealing) = (begin.elapsed(), peak_memory());
    let trace = Trace::open(&path).unwrap();
    let begin = Instant::now();
    assert_eq!(trace.read(ReadOptions { data: true }).filter(Result::is_ok).count(), 6000);
    eprintln!(
        "375 MiB of data: sealed in {sealed:.1?} with {} MiB, read in {:.1?} with {} MiB, {} MiB on disk",
        sealing >> 20,
        begin.elapsed(),
        peak_memory() >> 20,
        summary.bytes_on_disk >> 20
    );
    assert!(summary.bytes_on_disk < 200 << 20, "what comes twice is stored once");
    assert!(peak_memory() < 384 << 20);
}
