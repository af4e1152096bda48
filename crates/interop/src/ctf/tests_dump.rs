//! A trace with a state dump as newer LTTng writes it, put together here: descriptors go by their
//! table, and another event says whose that is.

use super::import;
use std::fs;
use trace::{Item, ReadOptions, RecordKind, Trace};

const METADATA: &str = include_str!("../../../../tests/fixtures/ctf/made-up.tsdl");

#[derive(Default)]
struct StreamClass {
    bytes: Vec<u8>,
    time: u64,
}

impl StreamClass {
    fn event(&mut self, id: u32, tid: u32, fields: &[&[u8]]) {
        self.time += 1000;
        self.bytes.extend_from_slice(
            &[
                &id.to_le_bytes()[..],
                &self.time.to_le_bytes(),
                &tid.to_le_bytes(),
                &fields.concat(),
            ]
            .concat(),
        );
    }
    fn process(&mut self, tid: u32, pid: u32, table: u64) {
        self.event(1, 1, &[&tid.to_le_bytes(), &pid.to_le_bytes(), &table.to_le_bytes()]);
    }
    fn descriptor(&mut self, table: u64, fd: u32, path: &str) {
        self.event(
            2,
            1,
            &[&table.to_le_bytes(), &fd.to_le_bytes(), &1u32.to_le_bytes(), path.as_bytes(), &[0]],
        );
    }
    fn write(&mut self, tid: u32, fd: u32) {
        self.event(3, tid, &[&fd.to_le_bytes(), &4096u64.to_le_bytes(), &10u64.to_le_bytes()]);
        self.event(4, tid, &[&10u64.to_le_bytes()]);
    }
}

#[test]
fn descriptors_of_the_dump_are_their_processes() {
    let dir = crate::tests_support::scratch();
    let from = dir.path().join("kernel");
    fs::create_dir(&from).unwrap();
    fs::write(from.join("metadata"), METADATA).unwrap();
    let mut stream = StreamClass::default();
    // A process with two threads; one that does nothing; a table that no process has.
    stream.descriptor(0xa, 5, "/var/log/first");
    stream.process(10, 10, 0xa);
    stream.process(11, 10, 0xa);
    stream.process(20, 20, 0xb);
    stream.descriptor(0xb, 5, "/var/log/idle");
    stream.descriptor(0xc, 5, "/var/log/nobody");
    stream.write(11, 5);
    stream.descriptor(0xa, 6, "/var/log/late");
    stream.write(10, 6);
    let bits = (stream.bytes.len() as u64 + 44) * 8;
    let head: Vec<u8> =
        [1000, stream.time, bits, bits].into_iter().flat_map(u64::to_le_bytes).collect();
    let packet = [&0xc1fc_1fc1u64.to_le_bytes()[..], &head, &[0; 4], &stream.bytes].concat();
    fs::write(from.join("channel_0"), packet).unwrap();
    let to = dir.path().join("t.ra");
    let outcome = import(&from, &to, None, &mut |_, _| {}).unwrap();
    assert_eq!(
        (outcome.damage, outcome.lost.values().copied().collect::<Vec<_>>()),
        (None, vec![1])
    );
    let (mut writers, mut open) = (Vec::new(), Vec::new());
    for item in Trace::open(&to).unwrap().read(ReadOptions { data: true }).map(Result::unwrap) {
        match item {
            Item::Event(e) if e.kind == RecordKind::Descriptor => {
                open.push((e.pid, e.args[0], e.identity(0).unwrap().1.to_vec()));
            }
            Item::Call(call) => writers.push((call.pid, call.tid)),
            _ => {}
        }
    }
    assert_eq!(open, [(10, 5, b"/var/log/first".to_vec()), (10, 6, b"/var/log/late".to_vec())]);
    assert_eq!((writers, outcome.summary.processes), (vec![(10, 11), (10, 10)], 1));
}
