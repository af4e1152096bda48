//! The fields of DataSeries records and the arguments of calls that they mean. The importer and the
//! exporter use the same table.

use Meaning::*;
use linux_raw_sys::general as raw;

/// What a field means for an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The argument is the number in the field.
    Number(usize, &'static str),
    /// It points to the string in the field, which ends with a NUL there.
    Text(usize, &'static str),
    /// It points to data that the call moved; the result is the number of bytes.
    Data(usize, &'static str),
    /// It points to these bytes, before the call.
    Before(usize, &'static str),
    /// It points to these bytes, after the call.
    After(usize, &'static str),
    /// It points to a `struct stat`, whose fields stand in `stat_result_*`.
    Stat(usize),
    /// It points to a `struct statfs`, whose fields stand in `statfs_result_*`.
    Statfs(usize),
    /// It points to two descriptors: `read_descriptor` and `write_descriptor`.
    Pair(usize),
    /// It points to two times, `access_time` and `mod_time`, in this form.
    Times(usize, Times),
    /// It points to entries of a directory, as `getdents` gives them.
    Dirents(usize, &'static str),
    /// It points to a `struct flock`, whose fields stand in `lock_*`, if the command takes one.
    Lock(usize),
    /// It points to a `struct rlimit`: `resource_soft_limit` and `resource_hard_limit`.
    Limit(usize),
    /// It points to these bytes, before or after the call, if it points to anything.
    Buffer(usize, &'static str),
}

/// The value of `tv_nsec` that means the present time (utimensat(2)).
pub const UTIME_NOW: u64 = raw::UTIME_NOW as u64;
/// The value of `tv_nsec` that means that the time is not changed.
pub const UTIME_OMIT: u64 = raw::UTIME_OMIT as u64;
/// The lower halves of what the original library makes of UTIME_NOW and UTIME_OMIT in 2^-32 s.
pub const UTIME_WORDS: [u32; 2] = [316_718_717, 316_718_713];

/// How a call takes times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// `struct utimbuf`: seconds.
    Seconds,
    /// `struct timeval[2]`.
    Micros,
    /// `struct timespec[2]`.
    Nanos,
}

/// One type of record.
#[derive(Clone, Copy, Debug)]
pub struct RecordMap {
    /// The last part of its name.
    pub name: &'static str,
    /// The call.
    pub call: &'static str,
    /// Its fields. A field that two calls share has the same meaning in both.
    pub parts: &'static [Meaning],
}

/// Describes a record type that has another name than its call.
const fn record(name: &'static str, call: &'static str, parts: &'static [Meaning]) -> RecordMap {
    RecordMap { name, call, parts }
}

/// Describes a record type that has the name of its call.
const fn same(name: &'static str, parts: &'static [Meaning]) -> RecordMap {
    record(name, name, parts)
}

const FD: Meaning = Number(0, "descriptor");
const PATH: Meaning = Text(0, "given_pathname");
const PATH1: Meaning = Text(1, "given_pathname");
const XATTR_NAME: Meaning = Text(1, "xattr_name");
const VALUE_WRITTEN: Meaning = Before(2, "value_written");
const VALUE_READ: Meaning = After(2, "value_read");
const VALUE_SIZE: Meaning = Number(3, "value_size");
const FLAG_4: Meaning = Number(4, "flag_value");
const XATTR_LIST: Meaning = After(1, "xattr_list");
const LIST_SIZE: Meaning = Number(2, "list_size");
const DATA_READ: Meaning = Data(1, "data_read");
const DATA_WRITTEN: Meaning = Data(1, "data_written");
const BYTES: Meaning = Number(2, "bytes_requested");
const FLAGS_3: Meaning = Number(3, "flags_value");
const MODE_1: Meaning = Number(1, "mode_value");
const MODE_2: Meaning = Number(2, "mode_value");
const ADDRESS_GIVEN: Meaning = Before(1, "sockaddr_buffer");
const ADDRESS_FOUND: Meaning = After(1, "sockaddr_buffer");
const ADDRESS_LENGTH: Meaning = Number(2, "sockaddr_length");
const OLD_FD: Meaning = Number(0, "old_descriptor");
const DOMAIN: Meaning = Number(0, "domain");
const TYPE: Meaning = Number(1, "type");
const PROTOCOL: Meaning = Number(2, "protocol");
const LEVEL: Meaning = Number(1, "level");
const OPTION: Meaning = Number(2, "optname");
const ADDRESS: Meaning = Number(0, "start_address");
const LENGTH: Meaning = Number(1, "length");
const RESOURCE: Meaning = Number(0, "resource_value");

/// The records of calls with one record each. Calls with several (vectors, messages, execve) are in
/// the importer and the exporter. Page faults of mappings are no calls.
pub const RECORDS: &[RecordMap] = &[
    same("read", &[FD, DATA_READ, BYTES]),
    same("write", &[FD, DATA_WRITTEN, BYTES]),
    same("lseek", &[FD, Number(1, "offset"), Number(2, "whence")]),
    same(
        "mmap",
        &[
            ADDRESS,
            LENGTH,
            Number(2, "protection_value"),
            FLAGS_3,
            Number(4, "descriptor"),
            Number(5, "offset"),
        ],
    ),
    same("fstat", &[FD, Stat(1)]),
    record("fstatat", "newfstatat", &[FD, PATH1, Stat(2), FLAGS_3]),
    record("pread", "pread64", &[FD, DATA_READ, BYTES, Number(3, "offset")]),
    record("pwrite", "pwrite64", &[FD, DATA_WRITTEN, BYTES, Number(3, "offset")]),
    same("fcntl", &[FD, Number(1, "command_value"), Number(2, "argument_value"), Lock(2)]),
    same("ioctl", &[FD, Number(1, "request"), Number(2, "parameter"), Buffer(2, "ioctl_buffer")]),
    same("fsync", &[FD]),
    same("fdatasync", &[FD]),
    same("fallocate", &[FD, MODE_1, Number(2, "allocate_offset"), Number(3, "allocate_len")]),
    same("readahead", &[FD, Number(1, "readahead_off"), Number(2, "readahead_size")]),
    same("open", &[PATH, Number(1, "open_value"), MODE_2]),
    same("close", &[FD]),
    same("stat", &[PATH, Stat(1)]),
    same("lstat", &[PATH, Stat(1)]),
    same("access", &[PATH, MODE_1]),
    same("faccessat", &[FD, PATH1, MODE_2]),
    same("truncate", &[PATH, Number(1, "truncate_length")]),
    same("ftruncate", &[FD, Number(1, "truncate_length")]),
    same("chdir", &[PATH]),
    same("chroot", &[PATH]),
    same("mkdir", &[PATH, MODE_1]),
    same("mkdirat", &[FD, PATH1, MODE_2]),
    same("rmdir", &[PATH]),
    same("creat", &[PATH, MODE_1]),
    same("link", &[Text(0, "given_oldpathname"), Text(1, "given_newpathname")]),
    same("unlink", &[PATH]),
    same("symlink", &[Text(0, "target_pathname"), PATH1]),
    same(
        "symlinkat",
        &[Text(0, "target_pathname"), Number(1, "new_descriptor"), Text(2, "given_pathname")],
    ),
    same("readlink", &[PATH, After(1, "link_value"), Number(2, "buffer_size")]),
    same("chmod", &[PATH, MODE_1]),
    same("chown", &[PATH, Number(1, "new_owner"), Number(2, "new_group")]),
    same("utime", &[PATH, Times(1, Times::Seconds)]),
    same("utimes", &[PATH, Times(1, Times::Micros)]),
    same("mknod", &[PATH, MODE_1, Number(2, "dev")]),
    same("mknodat", &[FD, PATH1, MODE_2, Number(3, "dev")]),
    same("munmap", &[ADDRESS, LENGTH]),
    same("pipe", &[Pair(0)]),
    same("exit", &[Number(0, "exit_status")]),
    same("fork", &[]),
    same("dup", &[FD]),
    same("dup2", &[OLD_FD, Number(1, "new_descriptor")]),
    same("dup3", &[OLD_FD, Number(1, "new_descriptor"), Number(2, "flags")]),
    same("rename", &[Text(0, "given_oldname"), Text(1, "given_newname")]),
    same("unlinkat", &[FD, PATH1, Number(2, "flag_value")]),
    same("getdents", &[FD, Dirents(1, "dirent_buffer"), Number(2, "count")]),
    same("openat", &[FD, PATH1, Number(2, "open_value"), Number(3, "mode_value")]),
    same(
        "linkat",
        &[
            OLD_FD,
            Text(1, "given_oldpathname"),
            Number(2, "new_descriptor"),
            Text(3, "given_newpathname"),
            FLAG_4,
        ],
    ),
    same("fchmod", &[FD, MODE_1]),
    same("fchmodat", &[FD, PATH1, MODE_2]),
    same("fchdir", &[FD]),
    same("utimensat", &[FD, PATH1, Times(2, Times::Nanos), Number(3, "flag_value")]),
    same("statfs", &[PATH, Statfs(1)]),
    same("fstatfs", &[FD, Statfs(1)]),
    same(
        "clone",
        &[Number(0, "flag_value"), Number(1, "child_stack_address"), Number(4, "new_tls")],
    ),
    same("vfork", &[]),
    same("umask", &[Number(0, "mode_value")]),
    same("flock", &[FD, Number(1, "operation_value")]),
    same("setxattr", &[PATH, XATTR_NAME, VALUE_WRITTEN, VALUE_SIZE, FLAG_4]),
    same("lsetxattr", &[PATH, XATTR_NAME, VALUE_WRITTEN, VALUE_SIZE, FLAG_4]),
    same("getxattr", &[PATH, XATTR_NAME, VALUE_READ, VALUE_SIZE]),
    same("lgetxattr", &[PATH, XATTR_NAME, VALUE_READ, VALUE_SIZE]),
    same("fsetxattr", &[FD, XATTR_NAME, VALUE_WRITTEN, VALUE_SIZE, FLAG_4]),
    same("fgetxattr", &[FD, XATTR_NAME, VALUE_READ, VALUE_SIZE]),
    same("listxattr", &[PATH, XATTR_LIST, LIST_SIZE]),
    same("llistxattr", &[PATH, XATTR_LIST, LIST_SIZE]),
    same("flistxattr", &[FD, XATTR_LIST, LIST_SIZE]),
    same("removexattr", &[PATH, XATTR_NAME]),
    same("lremovexattr", &[PATH, XATTR_NAME]),
    same("fremovexattr", &[FD, XATTR_NAME]),
    same("setsid", &[]),
    same("setpgid", &[Number(0, "pid"), Number(1, "pgid")]),
    same("getrlimit", &[RESOURCE, Limit(1)]),
    same("setrlimit", &[RESOURCE, Limit(1)]),
    same("socket", &[DOMAIN, TYPE, PROTOCOL]),
    same("epoll_create", &[Number(0, "epoll_size")]),
    same("epoll_create1", &[Number(0, "epoll_flags")]),
    same("connect", &[FD, ADDRESS_GIVEN, ADDRESS_LENGTH]),
    same("bind", &[FD, ADDRESS_GIVEN, ADDRESS_LENGTH]),
    same("accept", &[FD, ADDRESS_FOUND]),
    same("accept4", &[FD, ADDRESS_FOUND, Number(3, "flags")]),
    same("getsockname", &[FD, ADDRESS_FOUND]),
    same("getpeername", &[FD, ADDRESS_FOUND]),
    same("listen", &[FD, Number(1, "backlog")]),
    same("shutdown", &[FD, Number(1, "how")]),
    same("getsockopt", &[FD, LEVEL, OPTION, After(3, "option_value")]),
    same("setsockopt", &[FD, LEVEL, OPTION, Before(3, "option_value"), Number(4, "buffer_size")]),
    same("socketpair", &[DOMAIN, TYPE, PROTOCOL, Pair(3)]),
    record("recv", "recvfrom", &[FD, DATA_READ, BYTES, FLAGS_3]),
    same("recvfrom", &[FD, DATA_READ, BYTES, FLAGS_3]),
    record("send", "sendto", &[FD, DATA_WRITTEN, BYTES, FLAGS_3]),
    same(
        "sendto",
        &[
            FD,
            DATA_WRITTEN,
            BYTES,
            FLAGS_3,
            Before(4, "sockaddr_buffer"),
            Number(5, "sockaddr_length"),
        ],
    ),
    same("sync_file_range", &[FD, Number(1, "offset"), Number(3, "flags")]),
];

/// What the name of every record type begins with; the last part is the call.
pub const PREFIX: &str = "IOTTAFSL::Trace::Syscall::";

/// Record types with a field for flags, although their call had none when the schema was made: the
/// type, the newer call that has flags, and the field.
pub const WITH_FLAGS: [(&str, &str, Meaning); 2] = [
    ("faccessat", "faccessat2", Number(3, "flags_value")),
    ("fchmodat", "fchmodat2", Number(3, "flag_value")),
];

/// Returns how records of this type express their call, or `None` if the type is unknown.
pub fn map_of_type(name: &str) -> Option<&'static RecordMap> {
    let name = name.strip_prefix(PREFIX)?;
    RECORDS.iter().find(|m| m.name == name)
}
