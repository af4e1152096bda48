//! Recordings made by hand, and their replay as root in a root of their own.

use abi::plan::RESULT;
use model::files::{Origin, Row};
use model::processes::Mounts;
use reanimator_replay::source::{Cause, Reading};
use reanimator_replay::{Error, Options, Quiet, Report, Root, Source, replay_source};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;
use trace::Buffer;
use trace::record::{AT_EXIT, PayloadKind};
use trace::{Call, Event, Identity, Item, Payload, RecordKind};
use zerocopy::IntoBytes;

pub struct Made(pub Vec<Item>);

impl Source for Made {
    fn items(&self) -> Result<Reading<'_, Item>, Cause> {
        Ok(Box::new(self.0.iter().cloned().map(Ok)))
    }
    fn rows(&self) -> Result<Vec<Row>, Cause> {
        Ok(Vec::new())
    }
    fn origins(&self) -> Result<Reading<'_, Origin>, Cause> {
        Ok(Box::new(std::iter::empty()))
    }
    fn mounts(&self) -> Mounts {
        Mounts::new([(&b"/"[..], "ext4"), (&b"/proc"[..], "proc")])
    }
    fn directory(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

pub fn payload(arg: u8, kind: PayloadKind, flags: u8, bytes: &[u8]) -> Payload {
    Payload {
        arg,
        kind,
        flags,
        len: bytes.len() as u64,
        wanted: bytes.len() as u64,
        bytes: Buffer::from(bytes),
    }
}

pub fn file(path: &str, ino: u64) -> Payload {
    file_of(path, ino, 0)
}

pub fn file_of(path: &str, ino: u64, size: u64) -> Payload {
    let identity = Identity { dev: 1, ino, size, mode: 0o100_644, links: 1, ..Identity::default() };
    let mut bytes = identity.as_bytes().to_vec();
    bytes.extend_from_slice(path.as_bytes());
    payload(RESULT, PayloadKind::Identity, AT_EXIT, &bytes)
}

/// A recording under construction: a call follows the other unless it is said to overlap.
#[derive(Default)]
pub struct Script {
    pub items: Vec<Item>,
    pub time: u64,
}

impl Script {
    pub fn call(
        &mut self,
        tid: u32,
        name: &str,
        args: &[u64],
        ret: i64,
        payloads: Vec<Payload>,
    ) -> &mut Call {
        let mut six = [0; 6];
        six[..args.len()].copy_from_slice(args);
        self.time += 10;
        let row = abi::by_name(name).expect("a call of the table");
        let (seq, entered) = (self.items.len() as u64, self.time);
        let call = Call {
            seq,
            entered,
            exited: Some(entered + 5),
            pid: tid,
            tid,
            nr: row.number,
            flags: 0,
            args: six,
            ret,
            fd_snapshot: Default::default(),
            payloads,
        };
        self.items.push(Item::Call(call));
        match self.items.last_mut() {
            Some(Item::Call(call)) => call,
            _ => unreachable!("just pushed"),
        }
    }
    pub fn event(&mut self, tid: u32, kind: RecordKind, args: &[u64]) {
        let mut six = [0; 6];
        six[..args.len()].copy_from_slice(args);
        self.time += 10;
        self.items.push(Item::Event(Event {
            time: self.time,
            kind,
            pid: tid,
            tid,
            args: six,
            payloads: Vec::new(),
        }));
    }
    pub fn open(&mut self, tid: u32, path: &str, flags: u64, fd: i64, ino: u64) -> &mut Call {
        let text = payload(1, PayloadKind::String, 0, path.as_bytes());
        self.call(
            tid,
            "openat",
            &[-100i64 as u64, 4096, flags, 0o644],
            fd,
            vec![text, file(path, ino)],
        )
    }
    pub fn write(&mut self, tid: u32, fd: u64, bytes: &[u8]) -> &mut Call {
        self.call(
            tid,
            "write",
            &[fd, 4096, bytes.len() as u64],
            bytes.len() as i64,
            vec![payload(1, PayloadKind::Data, AT_EXIT, bytes)],
        )
    }
    pub fn read(&mut self, tid: u32, fd: u64, count: u64, bytes: &[u8]) -> &mut Call {
        self.call(
            tid,
            "read",
            &[fd, 4096, count],
            bytes.len() as i64,
            vec![payload(1, PayloadKind::Data, AT_EXIT, bytes)],
        )
    }
    /// A test process has threads, so that it cannot enter a user namespace: only root can replay.
    pub fn run_in(self, root: &Path, patience: Duration) -> Result<Report, Error> {
        assert!(nix::unistd::geteuid().is_root(), "replays by hand need root");
        replay_source(
            &Made(self.items),
            &Options { patience, ..Options::new(Root::open(root).expect("the root is there")) },
            &Quiet,
        )
    }
    pub fn run(self) -> (tempfile::TempDir, Report) {
        let root = tempfile::tempdir().expect("a temporary directory");
        let report = self.run_in(root.path(), Duration::from_secs(60)).expect("replayed");
        (root, report)
    }
}
