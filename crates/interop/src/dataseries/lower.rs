//! Calls for which DataSeries has no record, as those that do the same.

use super::dirents;
use super::names::{Names, is_cwd};
use abi::layout::{OPEN_HOW, RLIMIT, STAT, STATX};
use abi::{Kind, Layout};
use model::world::Bound;
use trace::Buffer;
use trace::record::{AT_EXIT, PayloadKind};
use trace::{Call, Payload, Trace};

/// What a call goes as.
pub(super) enum Lowered {
    /// As it is.
    Itself,
    /// As these, one after the other.
    As(Vec<Call>),
    /// Nothing that DataSeries has does the same.
    Nothing,
}

const RENAME_NOREPLACE: u64 = 1;
const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_EMPTY_PATH: u64 = 0x1000;
/// What statx has of its own: how much may be asked of the server.
const AT_STATX: u64 = 0x6000;
const RESOLVE_IN_ROOT: u64 = 0x10;
const O_NONBLOCK: u64 = 0o4000;
const O_DIRECT: u64 = 0o40000;
const O_CLOEXEC: u64 = 0o2_000_000;
const F_SETFD: u64 = 2;
const F_SETFL: u64 = 4;
/// Flags of preadv2 and pwritev2 that change where data go, or whether the call fails.
const RWF_NOWAIT: u64 = 8;
const RWF_ELSEWHERE: u64 = 0x30;
/// `STATX_BASIC_STATS` without times.
const STATX_BASIC: u64 = 0x71f;
const ERRNO_OF_OTHERS: [i32; 2] = [22, 95];

/// Everything that says what a call does.
pub(super) struct Scene<'a> {
    pub call: &'a Call,
    pub bound: &'a Bound<()>,
    pub names: &'a mut Names,
    pub trace: &'a Trace,
}

impl Scene<'_> {
    /// What the call goes as.
    pub fn lowered(&mut self) -> Lowered {
        let Some(row) = abi::by_number(self.call.nr) else { return Lowered::Nothing };
        if self.call.flags & trace::record::COMPAT != 0 {
            return Lowered::Nothing;
        }
        let a = self.call.args;
        let one = |call: Option<Call>| call.map(|c| vec![c]);
        let calls = match row.name() {
            "clone3" => one(self.clone3()),
            "exit_group" => one(self.plain("exit", &[a[0]])),
            "getdents64" => one(self.getdents()),
            "renameat" => one(self.rename()),
            // Where it succeeded, nothing was there to be replaced.
            "renameat2" if a[4] == 0 || a[4] == RENAME_NOREPLACE && self.call.succeeded() => {
                one(self.rename())
            }
            "faccessat2" if a[3] == 0 => one(self.kept("faccessat")),
            "fchmodat2" if a[3] == 0 => one(self.kept("fchmodat")),
            // Records of these have room for the flags.
            "faccessat2" | "fchmodat2" => return Lowered::Itself,
            "readlinkat" => one(self.named("readlink", 0, 1, &[2, 3])),
            "fchownat" => one(self.fchownat()),
            "fchown" => one(self.fchown()),
            "lchown" => one(self.owned(0, None)),
            "futimesat" if self.call.args[1] != 0 => one(self.named("utimes", 0, 1, &[2])),
            "openat2" => one(self.openat2()),
            "pipe2" => self.pipe2(),
            "statx" => one(self.statx()),
            "preadv" | "preadv2" => one(self.vectored("readv", "pread64")),
            "pwritev" | "pwritev2" => one(self.vectored("writev", "pwrite64")),
            "prlimit64" => self.prlimit(),
            "sync_file_range" if a[2] == 0 => return Lowered::Itself,
            "renameat2" | "sync_file_range" | "futimesat" => return Lowered::Nothing,
            _ => return Lowered::Itself,
        };
        calls.map_or(Lowered::Nothing, Lowered::As)
    }

    /// Another call at the same time, by the same thread, with the same result.
    fn plain(&self, name: &str, args: &[u64]) -> Option<Call> {
        let row = abi::by_name(name)?;
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        Some(Call { nr: row.number, args: all, payloads: Vec::new(), ..self.call.clone() })
    }

    /// The same with the same arguments.
    fn kept(&self, name: &str) -> Option<Call> {
        Some(Call { nr: abi::by_name(name)?.number, ..self.call.clone() })
    }

    /// With one name in place of a directory descriptor and a name, then these arguments.
    fn named(&self, name: &str, dir: usize, path: usize, rest: &[usize]) -> Option<Call> {
        let given = self.call.string(path as u8)?;
        let text = self.names.without(dir, given, self.call, self.bound)?;
        let args: Vec<u64> = [path].iter().chain(rest).map(|arg| self.call.args[*arg]).collect();
        let mut call = self.plain(name, &args)?;
        call.payloads.push(payload(0, PayloadKind::String, false, text));
        for (to, from) in rest.iter().enumerate() {
            let theirs = self.call.payloads.iter().filter(|p| usize::from(p.arg) == *from);
            call.payloads.extend(theirs.map(|p| Payload { arg: to as u8 + 1, ..p.clone() }));
        }
        Some(call)
    }

    fn rename(&self) -> Option<Call> {
        let mut call = self.plain("rename", &[self.call.args[1], self.call.args[3]])?;
        for (to, (dir, path)) in [(0, 1), (2, 3)].into_iter().enumerate() {
            let given = self.call.string(path)?;
            let text = self.names.without(dir, given, self.call, self.bound)?;
            call.payloads.push(payload(to as u8, PayloadKind::String, false, text));
        }
        Some(call)
    }

    /// The owner of what a path argument names, which must be no link if links are not followed.
    fn owned(&mut self, path: usize, dir: Option<usize>) -> Option<Call> {
        if self.names.may_be_link(path, self.bound, self.trace) {
            return None;
        }
        match dir {
            Some(dir) => self.named("chown", dir, path, &[2, 3]),
            None => self.kept("chown"),
        }
    }

    fn fchownat(&mut self) -> Option<Call> {
        let [dir, _, user, group, flags, _] = self.call.args;
        let empty = self.call.string(1).is_none_or(<[u8]>::is_empty);
        match flags {
            _ if empty && flags & AT_EMPTY_PATH != 0 && !is_cwd(dir) => self.at_file(user, group),
            _ if empty => None,
            _ if flags & AT_SYMLINK_NOFOLLOW != 0 => self.owned(1, Some(0)),
            _ if flags & !AT_EMPTY_PATH == 0 => self.named("chown", 0, 1, &[2, 3]),
            _ => None,
        }
    }

    fn fchown(&mut self) -> Option<Call> {
        let [_, user, group, ..] = self.call.args;
        self.at_file(user, group)
    }

    fn at_file(&self, user: u64, group: u64) -> Option<Call> {
        // A link that is open itself (`O_PATH`) would be followed.
        let file = &self.bound.fds[0].as_ref()?.file;
        if !matches!(file.file_type(), 0o100_000 | 0o040_000) {
            return None;
        }
        let text = self.names.of(0, self.bound)?;
        let mut call = self.plain("chown", &[model::told::SOMEWHERE, user, group])?;
        call.payloads.push(payload(0, PayloadKind::String, false, text));
        Some(call)
    }

    fn clone3(&self) -> Option<Call> {
        let word = |at: u8| self.call.word(0, at);
        let stack = word(40).wrapping_add(word(48));
        self.plain("clone", &[word(0) | word(32) & 0xff, stack, 0, 0, word(56)])
    }

    fn getdents(&self) -> Option<Call> {
        let mut call = self.kept("getdents")?;
        for p in call.payloads.iter_mut().filter(|p| p.arg == 1 && p.kind == PayloadKind::Bytes) {
            *p = p.with_bytes(dirents::turned(p.bytes.as_slice(), true));
        }
        Some(call)
    }

    /// Where it succeeded, restrictions changed nothing, except which root it was.
    fn openat2(&self) -> Option<Call> {
        let how = self.call.payload(2, PayloadKind::Bytes)?.bytes.as_slice();
        let (flags, mode) = (field(how, &OPEN_HOW, "flags")?, field(how, &OPEN_HOW, "mode")?);
        let resolve = field(how, &OPEN_HOW, "resolve")?;
        let others = self.call.errno().is_some_and(|e| ERRNO_OF_OTHERS.contains(&e) || e == 7);
        let restricted = resolve != 0 && !self.call.succeeded();
        if restricted || resolve & RESOLVE_IN_ROOT != 0 || others {
            return None;
        }
        let [dir, path, ..] = self.call.args;
        let mut call = self.plain("openat", &[dir, path, flags, mode])?;
        let kept = |p: &&Payload| p.arg == 1 || p.arg == abi::plan::RESULT;
        call.payloads.extend(self.call.payloads.iter().filter(kept).cloned());
        Some(call)
    }

    fn pipe2(&self) -> Option<Vec<Call>> {
        let flags = self.call.args[1];
        let pipe = self.kept("pipe")?;
        if flags == 0 || !self.call.succeeded() {
            // With flags that mean nothing it fails, and without them it would not.
            return (flags == 0 || self.call.errno() != Some(22)).then(|| vec![pipe]);
        }
        if flags & !(O_NONBLOCK | O_DIRECT | O_CLOEXEC) != 0 {
            return None;
        }
        let (read, write) = (self.call.word(0, 0) as u32, (self.call.word(0, 0) >> 32) as u32);
        let mut calls = vec![pipe];
        for fd in [read, write].map(u64::from) {
            let set = |command, value| {
                Some(Call { ret: 0, ..self.plain("fcntl", &[fd, command, value])? })
            };
            if flags & O_CLOEXEC != 0 {
                calls.push(set(F_SETFD, 1)?);
            }
            if flags & (O_NONBLOCK | O_DIRECT) != 0 {
                calls.push(set(F_SETFL, flags & (O_NONBLOCK | O_DIRECT))?);
            }
        }
        Some(calls)
    }

    fn statx(&self) -> Option<Call> {
        let [dir, path, flags, _, buffer, _] = self.call.args;
        if self.call.errno().is_some_and(|e| ERRNO_OF_OTHERS.contains(&e)) {
            return None;
        }
        let mut call = self.plain("newfstatat", &[dir, path, buffer, flags & !AT_STATX])?;
        let text = self.call.string(1).map(<[u8]>::to_vec);
        // No name at all means an empty one since Linux 6.11.
        let text = text.or_else(|| (path == 0 && flags & AT_EMPTY_PATH != 0).then(Vec::new))?;
        call.payloads.push(payload(1, PayloadKind::String, false, text));
        if let Some(found) = self.call.payload(4, PayloadKind::Bytes)
            && let Some(stat) = stat_of(found.bytes.as_slice())
        {
            call.payloads.push(payload(2, PayloadKind::Bytes, true, stat));
        }
        Some(call)
    }

    /// Data in one piece, where the call names a place in the file.
    fn vectored(&self, vectored: &str, positioned: &str) -> Option<Call> {
        let [fd, vec, count, pos, _, flags] = self.call.args;
        let flags = if self.call.shape()?.args.len() > 5 { flags } else { 0 };
        if flags & RWF_ELSEWHERE != 0 || !self.call.succeeded() && flags & RWF_NOWAIT != 0 {
            return None;
        }
        if self.call.errno().is_some_and(|e| ERRNO_OF_OTHERS.contains(&e) || e == 14) {
            return None;
        }
        if pos as i64 == -1 && self.call.shape()?.args.len() > 5 {
            return Some(Call { args: [fd, vec, count, 0, 0, 0], ..self.kept(vectored)? });
        }
        let vectors = self.call.payloads.iter().filter(|p| p.kind == PayloadKind::Iovecs);
        let asked = vectors
            .flat_map(|p| p.bytes.as_slice().chunks_exact(16))
            .map(|v| v[8..].try_into().map_or(0, u64::from_le_bytes))
            .fold(0u64, u64::saturating_add)
            .max(self.call.ret.max(0).cast_unsigned());
        let mut call = self.plain(positioned, &[fd, model::told::SOMEWHERE, asked, pos])?;
        let data = |p: &&Payload| p.kind == PayloadKind::Data;
        call.payloads.extend(self.call.payloads.iter().filter(data).cloned());
        Some(call)
    }

    /// Of the own process: what was there is read, what is new is set.
    fn prlimit(&self) -> Option<Vec<Call>> {
        let [pid, resource, new, old, ..] = self.call.args;
        if pid != 0 && pid as u32 != self.call.pid || new == 0 && old == 0 {
            return None;
        }
        let limit = |name: &str, from: u8, after: bool| {
            let mut call = self.plain(name, &[resource, model::told::SOMEWHERE])?;
            if let Some(p) = self.call.payload(from, PayloadKind::Bytes) {
                call.payloads.push(payload(
                    1,
                    PayloadKind::Bytes,
                    after,
                    p.bytes.as_slice().to_vec(),
                ));
            } else if !after || self.call.succeeded() {
                return None;
            }
            Some(call)
        };
        let mut calls = Vec::new();
        if old != 0 && (new == 0 || self.call.succeeded()) {
            calls.push(limit("getrlimit", 3, true)?);
        }
        if new != 0 {
            calls.push(limit("setrlimit", 2, false)?);
        }
        Some(calls)
    }
}

fn payload(arg: u8, kind: PayloadKind, at_exit: bool, bytes: Vec<u8>) -> Payload {
    let len = bytes.len() as u64;
    let flags = if at_exit { AT_EXIT } else { 0 };
    Payload { arg, kind, flags, len, wanted: len, bytes: Buffer::from_vec(bytes) }
}

/// A field of a struct.
fn field(bytes: &[u8], layout: &Layout, name: &str) -> Option<u64> {
    let f = layout.fields.iter().find(|f| f.name == name)?;
    let (at, size) = (f.at as usize, usize::from(f.size).min(8));
    let mut word = [0; 8];
    word[..size].copy_from_slice(bytes.get(at..at + size)?);
    Some(u64::from_le_bytes(word))
}

fn put(bytes: &mut [u8], name: &str, value: u64) {
    if let Some(f) = STAT.fields.iter().find(|f| f.name == name) {
        let (at, size) = (f.at as usize, usize::from(f.size).min(8));
        bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
}

/// A `struct stat` of what a `struct statx` tells, if that is enough.
fn stat_of(statx: &[u8]) -> Option<Vec<u8>> {
    let word = |name: &str| field(statx, &STATX, name);
    if u64::from(word("stx_mask")? as u32) & STATX_BASIC != STATX_BASIC {
        return None;
    }
    let mut stat = vec![0; STAT.size as usize];
    for name in ["ino", "mode", "nlink", "uid", "gid", "size", "blksize", "blocks"] {
        put(&mut stat, &format!("st_{name}"), word(&format!("stx_{name}"))?);
    }
    for name in ["atime", "mtime", "ctime"] {
        put(&mut stat, &format!("st_{name}"), word(&format!("stx_{name}.tv_sec"))?);
        put(&mut stat, &format!("st_{name}_nsec"), word(&format!("stx_{name}.tv_nsec"))?);
    }
    for (name, of) in [("st_dev", "dev"), ("st_rdev", "rdev")] {
        let (major, minor) = (word(&format!("stx_{of}_major"))?, word(&format!("stx_{of}_minor"))?);
        put(&mut stat, name, device(major as u32, minor as u32));
    }
    Some(stat)
}

/// As makedev(3) makes it.
fn device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    minor & 0xff | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32
}

/// Bytes of a `struct rlimit`.
pub(super) const LIMIT: usize = RLIMIT.size as usize;

/// Whether what an argument points to is missing though the record needs it.
pub(super) fn unknown(call: &Call, arg: usize, kind: Kind) -> bool {
    let comes_in = matches!(kind, Kind::In(..) | Kind::InOut(..));
    comes_in
        && call.args[arg] != 0
        && !call.payloads.iter().any(|p| {
            usize::from(p.arg) == arg && p.kind == PayloadKind::Bytes && p.flags & AT_EXIT == 0
        })
}
