//! Made-up traces: written record by record, as an engine would.

use abi::plan::{RESULT, ROOT_DIRECTORY, WORKING_DIRECTORY};
use model::Model;
use std::path::Path;
use std::sync::Arc;
use trace::journal::Journal;
use trace::record::{AT_EXIT, Header, PayloadHeader, PayloadKind, RecordKind};
use trace::{Identity, Recording, RecordingInfo};
use zerocopy::IntoBytes;

/// A journal under way. Dropped, it is what a killed recorder leaves.
pub struct Forge {
    journal: Journal,
    _recording: Recording,
    /// The time of the next call's entry.
    pub now: u64,
}

/// A payload to be: argument, kind, flags, bytes.
pub type Part<'a> = (u8, PayloadKind, u8, &'a [u8]);

/// The process that all forged calls are of.
pub const PID: u32 = 1000;

impl Forge {
    /// A new trace of one process that works in `/w`.
    pub fn new(path: &Path, threads: u32) -> Self {
        let recording =
            Recording::create(path, RecordingInfo::default(), Arc::new(Model::foreign()))
                .expect("a trace can be made here");
        let journal = recording.journal(0).expect("a journal can be made");
        let mut forge = Self { journal, _recording: recording, now: 1_000_000_000 };
        for tid in PID..PID + threads {
            forge.event(RecordKind::Start, tid, [0, 0, 0, u64::from(tid == PID), 0, 0], &[]);
        }
        let directory = |path: &[u8]| {
            [
                Identity { mode: 0o40755, fs_type: 0xef53, links: 2, ..Identity::default() }
                    .as_bytes(),
                path,
            ]
            .concat()
        };
        let (cwd, root) = (directory(b"/w"), directory(b"/"));
        let parts: [Part<'_>; 2] = [
            (WORKING_DIRECTORY, PayloadKind::Identity, 0, &cwd),
            (ROOT_DIRECTORY, PayloadKind::Identity, 0, &root),
        ];
        forge.event(RecordKind::State, PID, [0o22, 0, 0, 0, 0, 0], &parts);
        forge
    }
    fn put(&mut self, header: Header, parts: &[Part<'_>]) {
        self.journal.begin(header);
        for &(arg, kind, flags, bytes) in parts {
            self.journal.add_payload(
                PayloadHeader {
                    arg,
                    kind: kind as u8,
                    flags,
                    wanted: bytes.len() as u64,
                    ..PayloadHeader::default()
                },
                bytes,
            );
        }
        self.journal.commit().expect("a record can be written");
    }
    /// Something that happened.
    pub fn event(&mut self, kind: RecordKind, tid: u32, args: [u64; 6], parts: &[Part<'_>]) {
        self.now += 10;
        self.put(
            Header {
                kind: kind as u8,
                pid: PID,
                tid,
                entered: self.now,
                left: self.now,
                args,
                ..Header::default()
            },
            parts,
        );
    }
    /// A call of thread `tid` that took 1 µs; the next begins 500 ns after it ended.
    pub fn call(&mut self, tid: u32, nr: u32, args: [u64; 6], ret: i64, parts: &[Part<'_>]) {
        self.call_for(1000, tid, nr, args, ret, parts);
    }
    /// The same with a call that took so many nanoseconds.
    pub fn call_for(
        &mut self,
        took: u64,
        tid: u32,
        nr: u32,
        args: [u64; 6],
        ret: i64,
        parts: &[Part<'_>],
    ) {
        self.now += 1500;
        self.put(
            Header {
                pid: PID,
                tid,
                nr,
                entered: self.now,
                left: self.now + took,
                ret,
                args,
                ..Header::default()
            },
            parts,
        );
        self.now += took - took.min(1000);
    }
    /// An open that created `path` and gave `fd`.
    pub fn create(&mut self, path: &[u8], fd: i64) {
        let identity = Identity {
            mode: 0o100_644,
            fs_type: 0xef53,
            links: 1,
            ino: 77,
            dev: 1,
            born: u64::MAX / 2,
            ..Identity::default()
        };
        let opened = [identity.as_bytes(), path].concat();
        let parts: [Part<'_>; 2] =
            [(1, PayloadKind::String, 0, path), (RESULT, PayloadKind::Identity, AT_EXIT, &opened)];
        self.call(PID, 257, [-100i64 as u64, 0x7000, 0o102, 0o644, 0, 0], fd, &parts);
        self.now += 10_000;
    }
    /// Ends the journal in order, unsealed.
    pub fn end(mut self) {
        self.event(RecordKind::Exit, PID, [0, 1, 0, 0, 0, 0], &[]);
        self.journal.finish().expect("the journal can be written");
    }
}

/// Writes a journal of `calls` calls by four threads, which write blocks of a file of 64 MiB and
/// read them again.
pub fn generate(path: &Path, calls: u64) {
    let mut forge = Forge::new(path, 4);
    forge.create(b"/w/data", 3);
    let mut block = [0u8; 64];
    for i in 0..calls / 2 {
        let (tid, at) = (PID + (i % 4) as u32, i.wrapping_mul(7919) % (1 << 20) * 64);
        block[..8].copy_from_slice(&i.to_le_bytes());
        forge.call(
            tid,
            18,
            [3, 0x1000, 64, at, 0, 0],
            64,
            &[(1, PayloadKind::Data, AT_EXIT, &block)],
        );
        forge.call(
            tid,
            17,
            [3, 0x2000, 64, at, 0, 0],
            64,
            &[(1, PayloadKind::Data, AT_EXIT, &block)],
        );
        // The next thread begins before this one is done.
        forge.now -= 1000;
    }
    forge.end();
}
