//! Which field of which DataSeries record is which argument of which call: read one way by the importer, the other way by the exporter.

use Part::*;
use linux_raw_sys::general as raw;

/// What a field tells of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The argument is the number in the field.
    Number(usize, &'static str),
    /// It points to the string in the field, which ends with a NUL there.
    Text(usize, &'static str),
    /// It points to data that the call moved, as many bytes as the result says.
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

/// `tv_nsec` of the present.
pub const UTIME_NOW: u64 = raw::UTIME_NOW as u64;
/// `tv_nsec` of a time that stays.
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
pub struct Map {
    /// The last part of its name.
    pub name: &'static str,
    /// The call.
    pub call: &'static str,
    /// Its fields. A field that two calls share has the same meaning in both.
    pub parts: &'static [Part],
}

const fn map(name: &'static str, call: &'static str, parts: &'static [Part]) -> Map {
    Map { name, call, parts }
}

const FD: Part = Number(0, "descriptor");
const PATH: Part = Text(0, "given_pathname");
const PATH1: Part = Text(1, "given_pathname");

/// The records that are one call each. Those that are several (vectors, messages, execve) are in the importer and the exporter; page faults of mappings are no calls.
pub const MAPS: &[Map] = &[
    map("read", "read", &[FD, Data(1, "data_read"), Number(2, "bytes_requested")]),
    map("write", "write", &[FD, Data(1, "data_written"), Number(2, "bytes_requested")]),
    map("lseek", "lseek", &[FD, Number(1, "offset"), Number(2, "whence")]),
    map(
        "mmap",
        "mmap",
        &[
            Number(0, "start_address"),
            Number(1, "length"),
            Number(2, "protection_value"),
            Number(3, "flags_value"),
            Number(4, "descriptor"),
            Number(5, "offset"),
        ],
    ),
    map("fstat", "fstat", &[FD, Stat(1)]),
    map("fstatat", "newfstatat", &[FD, PATH1, Stat(2), Number(3, "flags_value")]),
    map(
        "pread",
        "pread64",
        &[FD, Data(1, "data_read"), Number(2, "bytes_requested"), Number(3, "offset")],
    ),
    map(
        "pwrite",
        "pwrite64",
        &[FD, Data(1, "data_written"), Number(2, "bytes_requested"), Number(3, "offset")],
    ),
    map("fcntl", "fcntl", &[FD, Number(1, "command_value"), Number(2, "argument_value"), Lock(2)]),
    map(
        "ioctl",
        "ioctl",
        &[FD, Number(1, "request"), Number(2, "parameter"), Buffer(2, "ioctl_buffer")],
    ),
    map("fsync", "fsync", &[FD]),
    map("fdatasync", "fdatasync", &[FD]),
    map(
        "fallocate",
        "fallocate",
        &[FD, Number(1, "mode_value"), Number(2, "allocate_offset"), Number(3, "allocate_len")],
    ),
    map("readahead", "readahead", &[FD, Number(1, "readahead_off"), Number(2, "readahead_size")]),
    map("open", "open", &[PATH, Number(1, "open_value"), Number(2, "mode_value")]),
    map("close", "close", &[FD]),
    map("stat", "stat", &[PATH, Stat(1)]),
    map("lstat", "lstat", &[PATH, Stat(1)]),
    map("access", "access", &[PATH, Number(1, "mode_value")]),
    map("faccessat", "faccessat", &[FD, PATH1, Number(2, "mode_value")]),
    map("truncate", "truncate", &[PATH, Number(1, "truncate_length")]),
    map("ftruncate", "ftruncate", &[FD, Number(1, "truncate_length")]),
    map("chdir", "chdir", &[PATH]),
    map("chroot", "chroot", &[PATH]),
    map("mkdir", "mkdir", &[PATH, Number(1, "mode_value")]),
    map("mkdirat", "mkdirat", &[FD, PATH1, Number(2, "mode_value")]),
    map("rmdir", "rmdir", &[PATH]),
    map("creat", "creat", &[PATH, Number(1, "mode_value")]),
    map("link", "link", &[Text(0, "given_oldpathname"), Text(1, "given_newpathname")]),
    map("unlink", "unlink", &[PATH]),
    map("symlink", "symlink", &[Text(0, "target_pathname"), PATH1]),
    map(
        "symlinkat",
        "symlinkat",
        &[Text(0, "target_pathname"), Number(1, "new_descriptor"), Text(2, "given_pathname")],
    ),
    map("readlink", "readlink", &[PATH, After(1, "link_value"), Number(2, "buffer_size")]),
    map("chmod", "chmod", &[PATH, Number(1, "mode_value")]),
    map("chown", "chown", &[PATH, Number(1, "new_owner"), Number(2, "new_group")]),
    map("utime", "utime", &[PATH, Times(1, Times::Seconds)]),
    map("utimes", "utimes", &[PATH, Times(1, Times::Micros)]),
    map("mknod", "mknod", &[PATH, Number(1, "mode_value"), Number(2, "dev")]),
    map("mknodat", "mknodat", &[FD, PATH1, Number(2, "mode_value"), Number(3, "dev")]),
    map("munmap", "munmap", &[Number(0, "start_address"), Number(1, "length")]),
    map("pipe", "pipe", &[Pair(0)]),
    map("exit", "exit", &[Number(0, "exit_status")]),
    map("fork", "fork", &[]),
    map("dup", "dup", &[FD]),
    map("dup2", "dup2", &[Number(0, "old_descriptor"), Number(1, "new_descriptor")]),
    map(
        "dup3",
        "dup3",
        &[Number(0, "old_descriptor"), Number(1, "new_descriptor"), Number(2, "flags")],
    ),
    map("rename", "rename", &[Text(0, "given_oldname"), Text(1, "given_newname")]),
    map("unlinkat", "unlinkat", &[FD, PATH1, Number(2, "flag_value")]),
    map("getdents", "getdents", &[FD, Dirents(1, "dirent_buffer"), Number(2, "count")]),
    map("openat", "openat", &[FD, PATH1, Number(2, "open_value"), Number(3, "mode_value")]),
    map(
        "linkat",
        "linkat",
        &[
            Number(0, "old_descriptor"),
            Text(1, "given_oldpathname"),
            Number(2, "new_descriptor"),
            Text(3, "given_newpathname"),
            Number(4, "flag_value"),
        ],
    ),
    map("fchmod", "fchmod", &[FD, Number(1, "mode_value")]),
    map("fchmodat", "fchmodat", &[FD, PATH1, Number(2, "mode_value")]),
    map("fchdir", "fchdir", &[FD]),
    map("utimensat", "utimensat", &[FD, PATH1, Times(2, Times::Nanos), Number(3, "flag_value")]),
    map("statfs", "statfs", &[PATH, Statfs(1)]),
    map("fstatfs", "fstatfs", &[FD, Statfs(1)]),
    map(
        "clone",
        "clone",
        &[Number(0, "flag_value"), Number(1, "child_stack_address"), Number(4, "new_tls")],
    ),
    map("vfork", "vfork", &[]),
    map("umask", "umask", &[Number(0, "mode_value")]),
    map("flock", "flock", &[FD, Number(1, "operation_value")]),
    map(
        "setxattr",
        "setxattr",
        &[
            PATH,
            Text(1, "xattr_name"),
            Before(2, "value_written"),
            Number(3, "value_size"),
            Number(4, "flag_value"),
        ],
    ),
    map(
        "lsetxattr",
        "lsetxattr",
        &[
            PATH,
            Text(1, "xattr_name"),
            Before(2, "value_written"),
            Number(3, "value_size"),
            Number(4, "flag_value"),
        ],
    ),
    map(
        "getxattr",
        "getxattr",
        &[PATH, Text(1, "xattr_name"), After(2, "value_read"), Number(3, "value_size")],
    ),
    map(
        "lgetxattr",
        "lgetxattr",
        &[PATH, Text(1, "xattr_name"), After(2, "value_read"), Number(3, "value_size")],
    ),
    map(
        "fsetxattr",
        "fsetxattr",
        &[
            FD,
            Text(1, "xattr_name"),
            Before(2, "value_written"),
            Number(3, "value_size"),
            Number(4, "flag_value"),
        ],
    ),
    map(
        "fgetxattr",
        "fgetxattr",
        &[FD, Text(1, "xattr_name"), After(2, "value_read"), Number(3, "value_size")],
    ),
    map("listxattr", "listxattr", &[PATH, After(1, "xattr_list"), Number(2, "list_size")]),
    map("llistxattr", "llistxattr", &[PATH, After(1, "xattr_list"), Number(2, "list_size")]),
    map("flistxattr", "flistxattr", &[FD, After(1, "xattr_list"), Number(2, "list_size")]),
    map("removexattr", "removexattr", &[PATH, Text(1, "xattr_name")]),
    map("lremovexattr", "lremovexattr", &[PATH, Text(1, "xattr_name")]),
    map("fremovexattr", "fremovexattr", &[FD, Text(1, "xattr_name")]),
    map("setsid", "setsid", &[]),
    map("setpgid", "setpgid", &[Number(0, "pid"), Number(1, "pgid")]),
    map("getrlimit", "getrlimit", &[Number(0, "resource_value"), Limit(1)]),
    map("setrlimit", "setrlimit", &[Number(0, "resource_value"), Limit(1)]),
    map("socket", "socket", &[Number(0, "domain"), Number(1, "type"), Number(2, "protocol")]),
    map("epoll_create", "epoll_create", &[Number(0, "epoll_size")]),
    map("epoll_create1", "epoll_create1", &[Number(0, "epoll_flags")]),
    map("connect", "connect", &[FD, Before(1, "sockaddr_buffer"), Number(2, "sockaddr_length")]),
    map("bind", "bind", &[FD, Before(1, "sockaddr_buffer"), Number(2, "sockaddr_length")]),
    map("accept", "accept", &[FD, After(1, "sockaddr_buffer")]),
    map("accept4", "accept4", &[FD, After(1, "sockaddr_buffer"), Number(3, "flags")]),
    map("getsockname", "getsockname", &[FD, After(1, "sockaddr_buffer")]),
    map("getpeername", "getpeername", &[FD, After(1, "sockaddr_buffer")]),
    map("listen", "listen", &[FD, Number(1, "backlog")]),
    map("shutdown", "shutdown", &[FD, Number(1, "how")]),
    map(
        "getsockopt",
        "getsockopt",
        &[FD, Number(1, "level"), Number(2, "optname"), After(3, "option_value")],
    ),
    map(
        "setsockopt",
        "setsockopt",
        &[
            FD,
            Number(1, "level"),
            Number(2, "optname"),
            Before(3, "option_value"),
            Number(4, "buffer_size"),
        ],
    ),
    map(
        "socketpair",
        "socketpair",
        &[Number(0, "domain"), Number(1, "type"), Number(2, "protocol"), Pair(3)],
    ),
    map(
        "recv",
        "recvfrom",
        &[FD, Data(1, "data_read"), Number(2, "bytes_requested"), Number(3, "flags_value")],
    ),
    map(
        "recvfrom",
        "recvfrom",
        &[FD, Data(1, "data_read"), Number(2, "bytes_requested"), Number(3, "flags_value")],
    ),
    map(
        "send",
        "sendto",
        &[FD, Data(1, "data_written"), Number(2, "bytes_requested"), Number(3, "flags_value")],
    ),
    map(
        "sendto",
        "sendto",
        &[
            FD,
            Data(1, "data_written"),
            Number(2, "bytes_requested"),
            Number(3, "flags_value"),
            Before(4, "sockaddr_buffer"),
            Number(5, "sockaddr_length"),
        ],
    ),
    map("sync_file_range", "sync_file_range", &[FD, Number(1, "offset"), Number(3, "flags")]),
];

/// What stands before the last part of a type's name.
pub const PREFIX: &str = "IOTTAFSL::Trace::Syscall::";

/// Records whose call had no flags when the schema was made, and the call that has them.
pub const WITH_FLAGS: [(&str, &str, Part); 2] = [
    ("faccessat", "faccessat2", Number(3, "flags_value")),
    ("fchmodat", "fchmodat2", Number(3, "flag_value")),
];

/// The map of a type of record.
pub fn of_type(name: &str) -> Option<&'static Map> {
    let name = name.strip_prefix(PREFIX)?;
    MAPS.iter().find(|m| m.name == name)
}
