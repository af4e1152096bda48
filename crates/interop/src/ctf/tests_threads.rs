//! Traces without the context `tid`, with packets missing, and hostile ones, put together here.

use super::stream::Item;
use super::{Trace, import, tsdl};
use crate::{Error, Outcome};
use std::fs;
use std::path::Path;
use trace::document::Verdict;
use trace::{Call, ReadOptions};

/// What all metadata of these tests begins with.
const HEAD: &str = "/* CTF 1.8 */
typealias integer { size = 8; align = 8; signed = false; } := u8;
typealias integer { size = 32; align = 8; signed = false; } := u32;
typealias integer { size = 32; align = 8; signed = true; } := s32;
typealias integer { size = 64; align = 8; signed = false; } := u64;
typealias integer { size = 64; align = 8; signed = true; } := s64;
trace { major = 1; minor = 8; byte_order = le; packet.header := struct { u32 magic; }; };
clock { name = \"c\"; freq = 1000000000; };
typealias integer { size = 64; align = 8; signed = false; map = clock.c.value; } := when;
stream { id = 0; event.header := struct { u32 id; when timestamp; };
  packet.context := struct { u64 timestamp_begin; u64 timestamp_end; u64 content_size;
    u64 packet_size; u64 packet_seq_num; u64 events_discarded; u32 cpu_id; }; };
";
const EVENTS: &str = "
event { name = \"sched_switch\"; id = 1; fields := struct { s32 _prev_tid; s32 _next_tid; }; };
event { name = \"syscall_entry_fsync\"; id = 2; fields := struct { u32 _fd; }; };
event { name = \"syscall_exit_fsync\"; id = 3; fields := struct { s64 _ret; }; };
";

/// Returns the event that a CPU switches from one thread to another.
fn switch(time: u64, from: i32, to: i32) -> Vec<u8> {
    event(1, time, &[from.to_le_bytes(), to.to_le_bytes()].concat())
}

/// Returns the event of the entry of fsync(2).
fn enter(time: u64) -> Vec<u8> {
    event(2, time, &3u32.to_le_bytes())
}

/// Returns the event of the exit of fsync(2).
fn leave(time: u64) -> Vec<u8> {
    event(3, time, &0i64.to_le_bytes())
}

fn event(id: u32, time: u64, fields: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &time.to_le_bytes(), fields].concat()
}

/// Returns a packet of `cpu` with its sequence number, and how many events were dropped until its
/// end.
fn packet(cpu: u32, number: u64, dropped: u64, events: &[Vec<u8>]) -> Vec<u8> {
    let time = |e: &Vec<u8>| u64::from_le_bytes(e[4..12].try_into().unwrap());
    let body = events.concat();
    let bits = (body.len() as u64 + 56) * 8;
    let (first, last) = (events.first().map_or(0, time), events.last().map_or(0, time));
    let head: Vec<u8> =
        [first, last, bits, bits, number, dropped].into_iter().flat_map(u64::to_le_bytes).collect();
    [&0xc1fc_1fc1u32.to_le_bytes()[..], &head, &cpu.to_le_bytes(), &body].concat()
}

fn write(dir: &Path, events: &str, streams: &[Vec<u8>]) -> std::path::PathBuf {
    let from = dir.join("kernel");
    fs::create_dir(&from).unwrap();
    fs::write(from.join("metadata"), [HEAD, events].concat()).unwrap();
    for (i, bytes) in streams.iter().enumerate() {
        fs::write(from.join(format!("ch_{i}")), bytes).unwrap();
    }
    from
}

/// The threads of the calls that came out, whether they returned, and the verdict.
fn converted(streams: &[Vec<u8>]) -> (Vec<(u32, bool)>, Outcome) {
    let dir = crate::tests_support::scratch();
    let (from, to) = (write(dir.path(), EVENTS, streams), dir.path().join("t.ra"));
    let outcome = import(&from, &to, None, &mut |_, _| {}).unwrap();
    let items =
        trace::Trace::open(&to).unwrap().read(ReadOptions { data: false }).map(Result::unwrap);
    let calls = items.filter_map(|i| if let trace::Item::Call(c) = i { Some(c) } else { None });
    let mut calls: Vec<_> = calls.map(|c: Call| (c.tid, c.returned())).collect();
    calls.sort_unstable();
    (calls, outcome)
}

#[track_caller]
fn complete(outcome: &Outcome) {
    assert_eq!(outcome.summary.verdict, Verdict::Complete, "{:?}", outcome.summary.reasons);
}

#[track_caller]
fn incomplete(outcome: &Outcome, reason: &str) {
    let s = &outcome.summary;
    assert_eq!(s.verdict, Verdict::Incomplete);
    assert!(s.reasons.iter().any(|r| r.contains(reason)), "{:?}", s.reasons);
}

/// Before the first switch of a CPU it is the thread that is switched from; a call may return on
/// another CPU, with another one's call between.
#[test]
fn switches_tell_whose_calls_they_are() {
    let one =
        packet(0, 0, 0, &[enter(10), leave(20), enter(30), switch(40, 7, 8), enter(50), leave(60)]);
    let two = packet(1, 0, 0, &[switch(45, 0, 7), leave(47), switch(55, 7, 0)]);
    let (calls, outcome) = converted(&[one, two]);
    assert_eq!(calls, [(7, true), (7, true), (8, true)]);
    complete(&outcome);
}

#[test]
fn without_switches_the_thread_is_unknown() {
    let (calls, outcome) = converted(&[packet(0, 0, 0, &[enter(10), leave(20)])]);
    assert_eq!(calls, []);
    incomplete(&outcome, "2 returns of calls by unknown threads");
}

/// What ran on a CPU is unknown from a loss to the CPU's next switch; other CPUs go on.
#[test]
fn a_loss_makes_its_cpu_unknown() {
    let losing = [
        packet(0, 0, 0, &[switch(10, 0, 7), enter(20), leave(30)]),
        packet(0, 1, 5, &[enter(40), leave(50), switch(60, 9, 8), enter(70), leave(80)]),
    ];
    let other = packet(1, 0, 0, &[switch(10, 0, 6), enter(45), leave(75)]);
    let (calls, outcome) = converted(&[losing.concat(), other]);
    assert_eq!(calls, [(6, true), (7, true), (8, true)]);
    incomplete(&outcome, "5 calls or events are missing");
    incomplete(&outcome, "2 returns of calls by unknown threads");
}

#[test]
fn packets_are_counted_by_their_numbers() {
    let at = |number, time| {
        packet(0, number, 0, &[switch(time, 0, 7), enter(time + 1), leave(time + 2)])
    };
    complete(&converted(&[[at(0, 10), at(1, 20), at(2, 30)].concat()]).1);
    let (calls, outcome) = converted(&[[at(0, 10), at(3, 20), at(4, 30)].concat()]);
    assert_eq!(calls.len(), 3);
    incomplete(&outcome, "2 packets of the trace are missing");
    // The first ones were overwritten.
    incomplete(&converted(&[at(4, 30)]).1, "4 packets of the trace are missing");
}

/// A type that is deeper than any trace's is refused, however its parts are named.
#[test]
fn deep_types_are_refused() {
    let chain = |link: &dyn Fn(usize) -> String| {
        let text: String = (1..100_000).map(link).collect();
        tsdl::parse(&format!("{HEAD}typealias struct {{ u32 x; }} := t0;\n{text}"))
    };
    let structs = chain(&|i| format!("typealias struct {{ t{} a; t{0} b; }} := t{i};\n", i - 1));
    let variants = chain(&|i| {
        format!("struct s{i} {{ t{} x[1]; }};\ntypealias struct s{i} := t{i};\n", i - 1)
    });
    for refused in [structs, variants] {
        assert!(refused.unwrap_err().contains("nested too deep"));
    }
    let arrays = format!("{HEAD}struct s {{ u32 x{}; }};", "[1]".repeat(100_000));
    assert!(tsdl::parse(&arrays).unwrap_err().contains("nested too deep"));
    // Many names one beside the other are not deep.
    let wide: String = (1..1000).map(|i| format!("typealias t{} := t{i};\n", i - 1)).collect();
    assert!(tsdl::parse(&format!("{HEAD}typealias struct {{ u32 x; }} := t0;\n{wide}")).is_ok());
}

/// Empty values take no bits: as many as a stream has bytes are read, and not more.
#[test]
fn empty_values_are_bounded() {
    let dir = crate::tests_support::scratch();
    let events = "event { name = \"e\"; id = 1; fields := struct { struct {} a[65536]; }; };";
    let stream = packet(0, 0, 0, &vec![event(1, 10, &[]); 1000]);
    let trace = Trace::open(&write(dir.path(), events, &[stream])).unwrap();
    let mut values = 0;
    let counts = trace
        .read(|item| {
            values += u64::from(matches!(item, Item::Event(_)));
            Ok::<(), Error>(())
        })
        .unwrap();
    assert!(values == 0 && counts.damage[0].contains("more values than bits"), "{counts:?}");
}
