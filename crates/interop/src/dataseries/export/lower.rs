//! Replaces calls for which DataSeries has no record by calls with the same effect.

use super::names::{Names, is_cwd};
use crate::dataseries::records::dirents;
use abi::layout::{OPEN_HOW, RLIMIT, STAT, STATX};
use abi::{Kind, Layout};
use linux_raw_sys::errno::*;
use linux_raw_sys::general::*;
use model::processes::Operands;
use trace::Buffer;
use trace::record::{AT_EXIT, PayloadKind};
use trace::{Call, Payload, Trace};

/// How a call is written.
pub(crate) enum Lowered {
    /// As it is.
    Itself,
    /// As these calls, one after the other.
    As(Vec<Call>),
    /// DataSeries has no calls with the same effect.
    Nothing,
}

/// Flags of preadv2 and pwritev2 that change where data go: `RWF_APPEND` and `RWF_NOAPPEND`.
const RWF_OFFSET_FLAGS: u32 = RWF_APPEND | 0x20;
/// What a `struct stat` needs, but for the times.
const STATX_NEEDED: u32 = STATX_BASIC_STATS & !(STATX_ATIME | STATX_MTIME | STATX_CTIME);
/// Errors of calls that the kernel or the file system does not support.
const UNSUPPORTED_ERRORS: [u32; 2] = [EINVAL, EOPNOTSUPP];

/// A call, and what is needed to know its effect.
pub(crate) struct CallContext<'a> {
    pub call: &'a Call,
    pub operands: &'a Operands<()>,
    pub names: &'a mut Names,
    pub trace: &'a Trace,
}

impl CallContext<'_> {
    /// Returns how the call is exported: as older calls that DataSeries has, as itself, or not at
    /// all.
    pub fn lowered(&mut self) -> Lowered {
        let Some(row) = abi::by_number(self.call.nr) else { return Lowered::Nothing };
        if self.call.flags & trace::record::COMPAT != 0 {
            return Lowered::Nothing;
        }
        let args = self.call.args;
        let single = |call: Option<Call>| call.map(|c| vec![c]);
        let calls = match row.name() {
            "clone3" => single(self.lower_clone3()),
            "exit_group" => single(self.as_call("exit", &[args[0]])),
            "getdents64" => single(self.lower_getdents64()),
            "renameat" => single(self.lower_renameat()),
            // Where it succeeded, nothing was there to be replaced.
            "renameat2"
                if args[4] == 0
                    || args[4] == u64::from(RENAME_NOREPLACE) && self.call.succeeded() =>
            {
                single(self.lower_renameat())
            }
            "faccessat2" if args[3] == 0 => single(self.renamed_call("faccessat")),
            "fchmodat2" if args[3] == 0 => single(self.renamed_call("fchmodat")),
            // Records of these have room for the flags.
            "faccessat2" | "fchmodat2" => return Lowered::Itself,
            "readlinkat" => single(self.with_one_path("readlink", 0, 1, &[2, 3])),
            "fchownat" => single(self.lower_fchownat()),
            "fchown" => single(self.lower_fchown()),
            "lchown" => single(self.lower_lchown(0, None)),
            "futimesat" if self.call.args[1] != 0 => {
                single(self.with_one_path("utimes", 0, 1, &[2]))
            }
            "openat2" => single(self.lower_openat2()),
            "pipe2" => self.lower_pipe2(),
            "statx" => single(self.lower_statx()),
            "preadv" | "preadv2" => single(self.lower_vectored("readv", "pread64")),
            "pwritev" | "pwritev2" => single(self.lower_vectored("writev", "pwrite64")),
            "prlimit64" => self.lower_prlimit(),
            "sync_file_range" if args[2] == 0 => return Lowered::Itself,
            "renameat2" | "sync_file_range" | "futimesat" => return Lowered::Nothing,
            _ => return Lowered::Itself,
        };
        calls.map_or(Lowered::Nothing, Lowered::As)
    }

    /// Returns whether the call failed with one of these errno values.
    fn failed_with(&self, errors: &[u32]) -> bool {
        self.call.errno().is_some_and(|e| errors.contains(&e.unsigned_abs()))
    }

    /// Returns the call `name` with these arguments, at the same time, by the same thread, with the
    /// same result, without payloads. Returns `None` if the table has no such call.
    fn as_call(&self, name: &str, args: &[u64]) -> Option<Call> {
        let row = abi::by_name(name)?;
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        Some(Call { nr: row.number, args: all, payloads: Vec::new(), ..self.call.clone() })
    }

    /// Returns the call `name` with the same arguments and payloads.
    fn renamed_call(&self, name: &str) -> Option<Call> {
        Some(Call { nr: abi::by_name(name)?.number, ..self.call.clone() })
    }

    /// Returns the call `name` with one path in place of a directory descriptor and a path, whose
    /// arguments have the indices `dir` and `path`, followed by the arguments with the indices
    /// `rest`. Returns `None` if the path is unknown.
    fn with_one_path(&self, name: &str, dir: usize, path: usize, rest: &[usize]) -> Option<Call> {
        let given = self.call.string(path as u8)?;
        let text = self.names.without_dirfd(dir, given, self.call, self.operands)?;
        let args: Vec<u64> = [path].iter().chain(rest).map(|arg| self.call.args[*arg]).collect();
        let mut call = self.as_call(name, &args)?;
        call.payloads.push(new_payload(0, PayloadKind::String, false, text));
        for (to, from) in rest.iter().enumerate() {
            let payloads = self.call.payloads.iter().filter(|p| usize::from(p.arg) == *from);
            call.payloads.extend(payloads.map(|p| Payload { arg: to as u8 + 1, ..p.clone() }));
        }
        Some(call)
    }

    /// Expresses a renameat(2) as a rename(2).
    fn lower_renameat(&self) -> Option<Call> {
        let mut call = self.as_call("rename", &[self.call.args[1], self.call.args[3]])?;
        for (to, (dir, path)) in [(0, 1), (2, 3)].into_iter().enumerate() {
            let given = self.call.string(path)?;
            let text = self.names.without_dirfd(dir, given, self.call, self.operands)?;
            call.payloads.push(new_payload(to as u8, PayloadKind::String, false, text));
        }
        Some(call)
    }

    /// Expresses a call that sets the owner of what a path argument names, without following links,
    /// as a chown(2). Returns `None` if the path may name a link.
    fn lower_lchown(&mut self, path: usize, dir: Option<usize>) -> Option<Call> {
        if self.names.may_be_link(path, self.operands, self.trace) {
            return None;
        }
        match dir {
            Some(dir) => self.with_one_path("chown", dir, path, &[2, 3]),
            None => self.renamed_call("chown"),
        }
    }

    /// Expresses an fchownat(2) as a chown(2). Returns `None` if the flags allow no such form.
    fn lower_fchownat(&mut self) -> Option<Call> {
        let [dir, _, user, group, flags, _] = self.call.args;
        let empty = self.call.string(1).is_none_or(<[u8]>::is_empty);
        match flags {
            _ if empty && has_any_flag(flags, AT_EMPTY_PATH) && !is_cwd(dir) => {
                self.chown_by_path(user, group)
            }
            _ if empty => None,
            _ if has_any_flag(flags, AT_SYMLINK_NOFOLLOW) => self.lower_lchown(1, Some(0)),
            _ if !has_other_flags(flags, AT_EMPTY_PATH) => {
                self.with_one_path("chown", 0, 1, &[2, 3])
            }
            _ => None,
        }
    }

    /// Expresses an fchown(2) as a chown(2) of the descriptor's file.
    fn lower_fchown(&mut self) -> Option<Call> {
        let [_, user, group, ..] = self.call.args;
        self.chown_by_path(user, group)
    }

    /// Expresses a change of the owner by descriptor as a chown(2) of the file's current path.
    /// Returns `None` if it is no regular file or directory, or has no known path.
    fn chown_by_path(&self, user: u64, group: u64) -> Option<Call> {
        // A link that is open itself (`O_PATH`) would be followed.
        let file = &self.operands.fds[0].as_ref()?.file;
        if !matches!(file.file_type(), S_IFREG | S_IFDIR) {
            return None;
        }
        let text = self.names.descriptor_path(0, self.operands)?;
        let mut call = self.as_call("chown", &[::import::UNKNOWN_ADDRESS, user, group])?;
        call.payloads.push(new_payload(0, PayloadKind::String, false, text));
        Some(call)
    }

    /// Expresses a clone3(2) as a clone(2).
    fn lower_clone3(&self) -> Option<Call> {
        let word = |at: u8| self.call.struct_u64(0, at);
        let stack = word(40).wrapping_add(word(48));
        self.as_call("clone", &[word(0) | word(32) & 0xff, stack, 0, 0, word(56)])
    }

    /// Expresses a getdents64(2) as a getdents(2), with the entries in the older format.
    fn lower_getdents64(&self) -> Option<Call> {
        let mut call = self.renamed_call("getdents")?;
        for p in call.payloads.iter_mut().filter(|p| p.arg == 1 && p.kind == PayloadKind::Bytes) {
            *p = p.with_bytes(dirents::convert(p.bytes.as_slice(), true));
        }
        Some(call)
    }

    /// Expresses an openat2(2) as an openat(2). Where the call succeeded, its restrictions had no
    /// effect, except those that select another root.
    fn lower_openat2(&self) -> Option<Call> {
        let how = self.call.payload(2, PayloadKind::Bytes)?.bytes.as_slice();
        let (flags, mode) =
            (struct_field(how, &OPEN_HOW, "flags")?, struct_field(how, &OPEN_HOW, "mode")?);
        let resolve = struct_field(how, &OPEN_HOW, "resolve")?;
        let is_unsupported = self.failed_with(&UNSUPPORTED_ERRORS) || self.failed_with(&[E2BIG]);
        let restricted = resolve != 0 && !self.call.succeeded();
        if restricted || has_any_flag(resolve, RESOLVE_IN_ROOT) || is_unsupported {
            return None;
        }
        let [dir, path, ..] = self.call.args;
        let mut call = self.as_call("openat", &[dir, path, flags, mode])?;
        let kept = |p: &&Payload| p.arg == 1 || p.arg == abi::plan::RESULT;
        call.payloads.extend(self.call.payloads.iter().filter(kept).cloned());
        Some(call)
    }

    /// Expresses a pipe2(2) as a pipe(2), followed by calls of fcntl(2) that set the flags.
    fn lower_pipe2(&self) -> Option<Vec<Call>> {
        let flags = self.call.args[1];
        let pipe = self.renamed_call("pipe")?;
        if flags == 0 || !self.call.succeeded() {
            // With flags that mean nothing it fails, and without them it would not.
            return (flags == 0 || !self.failed_with(&[EINVAL])).then(|| vec![pipe]);
        }
        if has_other_flags(flags, O_NONBLOCK | O_DIRECT | O_CLOEXEC) {
            return None;
        }
        let (read, write) =
            (self.call.struct_u64(0, 0) as u32, (self.call.struct_u64(0, 0) >> 32) as u32);
        let mut calls = vec![pipe];
        for fd in [read, write].map(u64::from) {
            let set = |command: u32, value| {
                Some(Call { ret: 0, ..self.as_call("fcntl", &[fd, command.into(), value])? })
            };
            if has_any_flag(flags, O_CLOEXEC) {
                calls.push(set(F_SETFD, FD_CLOEXEC.into())?);
            }
            if has_any_flag(flags, O_NONBLOCK | O_DIRECT) {
                calls.push(set(F_SETFL, flags & u64::from(O_NONBLOCK | O_DIRECT))?);
            }
        }
        Some(calls)
    }

    /// Expresses a statx(2) as a newfstatat(2), with the fields that a `struct stat` has.
    fn lower_statx(&self) -> Option<Call> {
        let [dir, path, flags, _, buffer, _] = self.call.args;
        if self.failed_with(&UNSUPPORTED_ERRORS) {
            return None;
        }
        let mut call = self
            .as_call("newfstatat", &[dir, path, buffer, flags & !u64::from(AT_STATX_SYNC_TYPE)])?;
        let text = self.call.string(1).map(<[u8]>::to_vec);
        // No name at all means an empty one since Linux 6.11.
        let text =
            text.or_else(|| (path == 0 && has_any_flag(flags, AT_EMPTY_PATH)).then(Vec::new))?;
        call.payloads.push(new_payload(1, PayloadKind::String, false, text));
        if let Some(statx) = self.call.payload(4, PayloadKind::Bytes)
            && let Some(stat) = statx_to_stat(statx.bytes.as_slice())
        {
            call.payloads.push(new_payload(2, PayloadKind::Bytes, true, stat));
        }
        Some(call)
    }

    /// Expresses a preadv(2), pwritev(2) or a newer version of them as the call `vectored`, if it
    /// uses the offset of the descriptor, else as the call `positioned` with one buffer. Returns
    /// `None` if its flags or its error allow neither.
    fn lower_vectored(&self, vectored: &str, positioned: &str) -> Option<Call> {
        let [fd, vec, count, pos, _, flags] = self.call.args;
        let flags = if self.call.spec()?.args.len() > 5 { flags } else { 0 };
        if has_any_flag(flags, RWF_OFFSET_FLAGS)
            || !self.call.succeeded() && has_any_flag(flags, RWF_NOWAIT)
        {
            return None;
        }
        if self.failed_with(&UNSUPPORTED_ERRORS) || self.failed_with(&[EFAULT]) {
            return None;
        }
        if pos as i64 == -1 && self.call.spec()?.args.len() > 5 {
            return Some(Call { args: [fd, vec, count, 0, 0, 0], ..self.renamed_call(vectored)? });
        }
        let vectors = self.call.payloads.iter().filter(|p| p.kind == PayloadKind::Iovecs);
        let requested = vectors
            .flat_map(|p| p.bytes.as_slice().chunks_exact(16))
            .map(|v| v[8..].try_into().map_or(0, u64::from_le_bytes))
            .fold(0u64, u64::saturating_add)
            .max(self.call.ret.max(0).cast_unsigned());
        let mut call =
            self.as_call(positioned, &[fd, ::import::UNKNOWN_ADDRESS, requested, pos])?;
        let data = |p: &&Payload| p.kind == PayloadKind::Data;
        call.payloads.extend(self.call.payloads.iter().filter(data).cloned());
        Some(call)
    }

    /// Expresses a prlimit64(2) of the own process as a getrlimit(2) of the old limit and a
    /// setrlimit(2) of the new one.
    fn lower_prlimit(&self) -> Option<Vec<Call>> {
        let [pid, resource, new, old, ..] = self.call.args;
        if pid != 0 && pid as u32 != self.call.pid || new == 0 && old == 0 {
            return None;
        }
        let limit = |name: &str, from: u8, after: bool| {
            let mut call = self.as_call(name, &[resource, ::import::UNKNOWN_ADDRESS])?;
            if let Some(p) = self.call.payload(from, PayloadKind::Bytes) {
                call.payloads.push(new_payload(
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

/// Returns whether one of the flags `some` is set.
fn has_any_flag(flags: u64, some: u32) -> bool {
    flags & u64::from(some) != 0
}

/// Returns whether a flag is set that is none of `known`.
fn has_other_flags(flags: u64, known: u32) -> bool {
    flags & !u64::from(known) != 0
}

/// Returns a whole payload of an argument with these bytes.
fn new_payload(arg: u8, kind: PayloadKind, at_exit: bool, bytes: Vec<u8>) -> Payload {
    let len = bytes.len() as u64;
    let flags = if at_exit { AT_EXIT } else { 0 };
    Payload { arg, kind, flags, len, wanted: len, bytes: Buffer::from_vec(bytes) }
}

/// Returns a field of a struct, by its name in the layout. Returns `None` if the bytes do not reach
/// so far.
fn struct_field(bytes: &[u8], layout: &Layout, name: &str) -> Option<u64> {
    let field = layout.fields.iter().find(|field| field.name == name)?;
    let (offset, size) = (field.at as usize, usize::from(field.size).min(8));
    let mut word = [0; 8];
    word[..size].copy_from_slice(bytes.get(offset..offset + size)?);
    Some(u64::from_le_bytes(word))
}

/// Sets a field of a `struct stat`.
fn set_stat_field(bytes: &mut [u8], name: &str, value: u64) {
    if let Some(field) = STAT.fields.iter().find(|field| field.name == name) {
        let (offset, size) = (field.at as usize, usize::from(field.size).min(8));
        bytes[offset..offset + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
}

/// Converts a `struct statx` to a `struct stat`. Returns `None` if it lacks a field.
fn statx_to_stat(statx: &[u8]) -> Option<Vec<u8>> {
    let word = |name: &str| struct_field(statx, &STATX, name);
    if word("stx_mask")? as u32 & STATX_NEEDED != STATX_NEEDED {
        return None;
    }
    let mut stat = vec![0; STAT.size as usize];
    for name in ["ino", "mode", "nlink", "uid", "gid", "size", "blksize", "blocks"] {
        set_stat_field(&mut stat, &format!("st_{name}"), word(&format!("stx_{name}"))?);
    }
    for name in ["atime", "mtime", "ctime"] {
        set_stat_field(&mut stat, &format!("st_{name}"), word(&format!("stx_{name}.tv_sec"))?);
        set_stat_field(
            &mut stat,
            &format!("st_{name}_nsec"),
            word(&format!("stx_{name}.tv_nsec"))?,
        );
    }
    for (name, of) in [("st_dev", "dev"), ("st_rdev", "rdev")] {
        let (major, minor) = (word(&format!("stx_{of}_major"))?, word(&format!("stx_{of}_minor"))?);
        set_stat_field(&mut stat, name, rustix::fs::makedev(major as u32, minor as u32));
    }
    Some(stat)
}

/// Bytes of a `struct rlimit`.
pub(crate) const RLIMIT_SIZE: usize = RLIMIT.size as usize;

/// Returns whether the bytes that an argument points to are missing although the record needs them.
pub(crate) fn lacks_payload(call: &Call, arg: usize, kind: Kind) -> bool {
    let comes_in = matches!(kind, Kind::In(..) | Kind::InOut(..));
    comes_in
        && call.args[arg] != 0
        && !call.payloads.iter().any(|p| {
            usize::from(p.arg) == arg && p.kind == PayloadKind::Bytes && p.flags & AT_EXIT == 0
        })
}
