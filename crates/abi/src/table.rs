//! The table: every system call of Linux 6.18 on x86-64, one row each, sorted by number.
//!
//! Names of calls are those of the kernel's `syscall_64.tbl`, names of arguments those of its
//! `SYSCALL_DEFINE`s. A pointer that is only an [`crate::Kind::Addr`] is not followed. What a
//! call's pages hold is data only if it moves file or message contents; everything else is a struct
//! or plain bytes.

mod arch;
mod args;
mod check;
mod operations;

pub use arch::Arch;

use crate::flags::{file as ff, io as fi, net as fnet, process as fp};
use crate::kind::Arg;
use crate::kind::{Follow, Kind, Len, OpenFlags, Role};
use crate::layout::*;
use crate::row::{
    AioUse, CallSpec, Class, Effect, Groups, IoClass, OPERATIONS, Ret, Row, UnrecordedEffect,
};
use args::*;
use core::mem::offset_of;
use linux_raw_sys::{general as raw, ioctl};
use operations::OPERATION_TABLE;
use std::collections::HashMap;
use std::sync::LazyLock;
use syscalls::x86_64::Sysno as X;

const IORING_SETUP_SQPOLL: u32 = linux_raw_sys::io_uring::IORING_SETUP_SQPOLL;
const SYMLINK_FOLLOW: u64 = raw::AT_SYMLINK_FOLLOW as u64;

static TABLE: &[Row] = &[
    desc(X::read, &[fd("fd"), output("buf", ret(2), &DATA), size("count")]).returns(Ret::Bytes),
    desc(X::write, &[fd("fd"), input("buf", by(2), &DATA), size("count")])
        .returns(Ret::Bytes)
        .changes(),
    both(X::open, &[opened("filename", None, 1), fl("flags", &ff::OPEN), mode("mode")])
        .returns(Ret::Fd)
        .changes(),
    desc(X::close, &[fd("fd")]).does(Effect::Close { fd: 0 }),
    file(X::stat, &[path("filename"), outs("statbuf", &STAT)]).groups(STATS),
    desc(X::fstat, &[fd("fd"), outs("statbuf", &STAT)]).groups(STATS),
    file(X::lstat, &[lpath("filename"), outs("statbuf", &STAT)]).groups(STATS),
    wait(X::poll, &[inout("ufds", each(1, &POLLFD), &POLLFD), uint("nfds"), int("timeout_msecs")])
        .returns(Ret::Int)
        .groups(D),
    desc(X::lseek, &[fd("fd"), off("offset"), fl("whence", &fi::WHENCE)])
        .returns(Ret::Off)
        .does(Effect::Seek),
    mem(
        X::mmap,
        &[
            addr("addr"),
            size("len"),
            fl("prot", &fp::PROT),
            fl("flags", &fp::MAP),
            fd("fd"),
            off("off"),
        ],
    )
    .returns(Ret::Addr)
    .does(Effect::Map)
    .leaves_unrecorded(UnrecordedEffect::Mapping)
    .groups(D),
    mem(X::mprotect, &[addr("start"), size("len"), fl("prot", &fp::PROT)])
        .leaves_unrecorded(UnrecordedEffect::ProtectionChange),
    mem(X::munmap, &[addr("addr"), size("len")]).leaves_unrecorded(UnrecordedEffect::Unmapping),
    mem(X::brk, &[addr("brk")]).returns(Ret::Addr),
    signal(
        X::rt_sigaction,
        &[sig("sig"), ins("act", &SIGACTION), outs("oact", &SIGACTION), size("sigsetsize")],
    ),
    signal(
        X::rt_sigprocmask,
        &[
            fl("how", &fp::SIG_HOW),
            input("nset", by(3), &SIGSET),
            output("oset", by(3), &SIGSET),
            size("sigsetsize"),
        ],
    ),
    signal(X::rt_sigreturn, &[]).returns(Ret::Host),
    desc(X::ioctl, &[fd("fd"), IOCMD, addr("arg")])
        .returns(Ret::Host)
        .skipped(Class::System)
        .variants(1, IOCTL),
    desc(X::pread64, &[fd("fd"), output("buf", ret(2), &DATA), size("count"), pos("pos")])
        .returns(Ret::Bytes),
    desc(X::pwrite64, &[fd("fd"), input("buf", by(2), &DATA), size("count"), pos("pos")])
        .returns(Ret::Bytes)
        .changes(),
    desc(X::readv, &[fd("fd"), arg("vec", Kind::OutIov { count: 2 }), size("vlen")])
        .returns(Ret::Bytes),
    desc(X::writev, &[fd("fd"), arg("vec", Kind::InIov { count: 2 }), size("vlen")])
        .returns(Ret::Bytes)
        .changes(),
    file(X::access, &[path("filename"), fl("mode", &ff::ACCESS)]),
    pipe(X::pipe, &[output("fildes", Len::Fixed(8), &FDS)])
        .does(Effect::Pair { fds: 0, flags: None }),
    wait(
        X::select,
        &[
            int("n"),
            inout("inp", Len::Bits { n: 0 }, &BITS),
            inout("outp", Len::Bits { n: 0 }, &BITS),
            inout("exp", Len::Bits { n: 0 }, &BITS),
            inouts("tvp", &TIMEVAL),
        ],
    )
    .returns(Ret::Int)
    .groups(D),
    attr(X::sched_yield, &[]),
    mem(
        X::mremap,
        &[
            addr("addr"),
            size("old_len"),
            size("new_len"),
            fl("flags", &fp::MREMAP),
            addr("new_addr"),
        ],
    )
    .returns(Ret::Addr)
    .does(Effect::MoveMapping),
    mem(X::msync, &[addr("start"), size("len"), fl("flags", &fp::MSYNC)]).does(Effect::SyncMapping),
    mem(X::mincore, &[addr("start"), size("len"), addr("vec")]),
    mem(X::madvise, &[addr("start"), size("len_in"), fl("behavior", &fp::MADV)]),
    ipc(X::shmget, &[hex("key"), size("size"), hex("shmflg")])
        .returns(Ret::Host)
        .groups(Groups::MEMORY),
    ipc(X::shmat, &[int("shmid"), addr("shmaddr"), hex("shmflg")])
        .returns(Ret::Addr)
        .groups(Groups::MEMORY),
    ipc(X::shmctl, &[int("shmid"), int("cmd"), addr("buf")]).returns(Ret::Host),
    desc(X::dup, &[fd("fildes")]).returns(Ret::Fd).does(Effect::Dup { old: 0 }),
    desc(X::dup2, &[fd("oldfd"), int("newfd")])
        .returns(Ret::Fd)
        .does(Effect::DupTo { old: 0, new: 1 }),
    signal(X::pause, &[]).counted(IoClass::Wait),
    clock(X::nanosleep, &[ins("rqtp", &TIMESPEC), outs("rmtp", &TIMESPEC)]).counted(IoClass::Wait),
    clock(X::getitimer, &[fl("which", &fp::ITIMER), outs("value", &ITIMERVAL)]),
    clock(X::alarm, &[uint("seconds")]).returns(Ret::Host),
    clock(
        X::setitimer,
        &[fl("which", &fp::ITIMER), ins("value", &ITIMERVAL), outs("ovalue", &ITIMERVAL)],
    ),
    attr(X::getpid, &[]).returns(Ret::Pid),
    desc(X::sendfile, &[fd("out_fd"), fd("in_fd"), inouts("offset", &LOFF), size("count")])
        .returns(Ret::Bytes)
        .changes()
        .copies(pointed(1, 2), own(0), ret(3))
        .groups(Groups::NET),
    net(X::socket, &[fl("family", &fnet::FAMILY), fl("type", &fnet::TYPE), int("protocol")])
        .returns(Ret::Fd),
    net(X::connect, &[fd("fd"), input("uservaddr", by(2), &SOCKADDR), int("addrlen")]),
    net(
        X::accept,
        &[fd("fd"), output("upeer_sockaddr", deref(2), &SOCKADDR), inouts("upeer_addrlen", &INT)],
    )
    .returns(Ret::Fd),
    net(
        X::sendto,
        &[
            fd("fd"),
            input("buff", by(2), &DATA),
            size("len"),
            fl("flags", &fnet::MSG),
            input("addr", by(5), &SOCKADDR),
            int("addr_len"),
        ],
    )
    .returns(Ret::Bytes),
    net(
        X::recvfrom,
        &[
            fd("fd"),
            output("ubuf", ret(2), &DATA),
            size("size"),
            fl("flags", &fnet::MSG),
            output("addr", deref(5), &SOCKADDR),
            inouts("addr_len", &INT),
        ],
    )
    .returns(Ret::Bytes),
    net(X::sendmsg, &[fd("fd"), arg("msg", Kind::InMsg), fl("flags", &fnet::MSG)])
        .returns(Ret::Bytes),
    net(X::recvmsg, &[fd("fd"), arg("msg", Kind::OutMsg), fl("flags", &fnet::MSG)])
        .returns(Ret::Bytes)
        .does(Effect::Receive),
    net(X::shutdown, &[fd("fd"), fl("how", &fnet::SHUT)]),
    net(X::bind, &[fd("fd"), input("umyaddr", by(2), &SOCKET_NAME), int("addrlen")])
        .issued()
        .changes()
        .does(Effect::Bind),
    net(X::listen, &[fd("fd"), int("backlog")]),
    net(
        X::getsockname,
        &[fd("fd"), output("usockaddr", deref(2), &SOCKADDR), inouts("usockaddr_len", &INT)],
    ),
    net(
        X::getpeername,
        &[fd("fd"), output("usockaddr", deref(2), &SOCKADDR), inouts("usockaddr_len", &INT)],
    ),
    net(
        X::socketpair,
        &[
            fl("family", &fnet::FAMILY),
            fl("type", &fnet::TYPE),
            int("protocol"),
            output("usockvec", Len::Fixed(8), &FDS),
        ],
    )
    .does(Effect::Pair { fds: 3, flags: Some(1) }),
    net(
        X::setsockopt,
        &[
            fd("fd"),
            fl("level", &fnet::LEVEL),
            int("optname"),
            input("optval", by(4), &OPAQUE),
            int("optlen"),
        ],
    ),
    net(
        X::getsockopt,
        &[
            fd("fd"),
            fl("level", &fnet::LEVEL),
            int("optname"),
            output("optval", deref(4), &OPAQUE),
            inouts("optlen", &INT),
        ],
    ),
    process(
        X::clone,
        &[
            fl("clone_flags", &fp::CLONE),
            addr("newsp"),
            addr("parent_tidptr"),
            addr("child_tidptr"),
            addr("tls"),
        ],
    )
    .returns(Ret::Pid)
    .does(Effect::Fork),
    process(X::fork, &[]).returns(Ret::Pid).does(Effect::Fork),
    process(X::vfork, &[]).returns(Ret::Pid).does(Effect::Fork),
    process(X::execve, &[path("filename"), texts("argv"), texts("envp")])
        .does(Effect::Exec)
        .groups(F),
    process(X::exit, &[int("error_code")]).returns(Ret::Never).does(Effect::Exit),
    process(
        X::wait4,
        &[
            pid("upid"),
            outs("stat_addr", &WAIT_STATUS),
            fl("options", &fp::WAIT),
            outs("ru", &RUSAGE),
        ],
    )
    .returns(Ret::Pid)
    .counted(IoClass::Wait),
    signal(X::kill, &[pid("pid"), sig("sig")]).groups(Groups::PROCESS),
    system(X::uname, &[outs("name", &UTSNAME)]),
    ipc(X::semget, &[hex("key"), int("nsems"), hex("semflg")]).returns(Ret::Host),
    ipc(X::semop, &[int("semid"), input("tsops", each(2, &SEMBUF), &SEMBUF), uint("nsops")])
        .counted(IoClass::Wait),
    ipc(X::semctl, &[int("semid"), int("semnum"), int("cmd"), addr("arg")]).returns(Ret::Host),
    ipc(X::shmdt, &[addr("shmaddr")]).groups(Groups::MEMORY),
    ipc(X::msgget, &[hex("key"), hex("msgflg")]).returns(Ret::Host),
    ipc(
        X::msgsnd,
        &[int("msqid"), input("msgp", Len::Fixed(8), &U64), size("msgsz"), hex("msgflg")],
    )
    .counted(IoClass::Wait),
    ipc(
        X::msgrcv,
        &[
            int("msqid"),
            output("msgp", Len::Fixed(8), &U64),
            size("msgsz"),
            int("msgtyp"),
            hex("msgflg"),
        ],
    )
    .returns(Ret::Count)
    .counted(IoClass::Wait),
    ipc(X::msgctl, &[int("msqid"), int("cmd"), addr("buf")]).returns(Ret::Host),
    desc(X::fcntl, &[fd("fd"), fl("cmd", &fi::FCNTL), addr("arg")])
        .returns(Ret::Host)
        .skipped(Class::System)
        .variants(1, FCNTL),
    desc(X::flock, &[fd("fd"), fl("cmd", &fi::FLOCK)]).changes().counted(IoClass::Lock),
    desc(X::fsync, &[fd("fd")]).counted(IoClass::Sync),
    desc(X::fdatasync, &[fd("fd")]).counted(IoClass::Sync),
    file(X::truncate, &[path("path"), length("length")]).does(Effect::Truncate).changes(),
    desc(X::ftruncate, &[fd("fd"), length("length")]).does(Effect::Truncate).changes(),
    desc(X::getdents, &[fd("fd"), output("dirent", ret(2), &DIRENTS), size("count")])
        .returns(Ret::Count),
    file(X::getcwd, &[output("buf", ret(1), &TEXT), size("size")])
        .returns(Ret::Count)
        .counted(IoClass::Dir),
    file(X::chdir, &[path("filename")]).does(Effect::Chdir),
    desc(X::fchdir, &[fd("fd")]).does(Effect::Fchdir),
    file(X::rename, &[name("oldname", None, Role::Source), name("newname", None, Role::Target)])
        .changes(),
    file(X::mkdir, &[name("pathname", None, Role::Create), mode("mode")]).changes(),
    file(X::rmdir, &[name("pathname", None, Role::RemoveDirectory)]).changes(),
    both(
        X::creat,
        &[
            at("pathname", None, Role::Open(OpenFlags::Implied(CREAT)), Follow::Always),
            mode("mode"),
        ],
    )
    .returns(Ret::Fd)
    .changes(),
    file(X::link, &[lpath("oldname"), name("newname", None, Role::Create)]).changes(),
    file(X::unlink, &[name("pathname", None, Role::Remove)]).changes(),
    file(X::symlink, &[text("oldname"), name("newname", None, Role::Create)]).changes(),
    file(X::readlink, &[lpath("path"), output("buf", ret(2), &TEXT), size("bufsiz")])
        .returns(Ret::Count),
    file(X::chmod, &[path("filename"), mode("mode")]).changes(),
    desc(X::fchmod, &[fd("fd"), mode("mode")]).changes(),
    file(X::chown, &[path("filename"), uid("user"), gid("group")]).changes(),
    desc(X::fchown, &[fd("fd"), uid("user"), gid("group")]).changes(),
    file(X::lchown, &[lpath("filename"), uid("user"), gid("group")]).changes(),
    Row::new(X::umask, &[mode("mask")]).returns(Ret::Int).does(Effect::Umask),
    clock(X::gettimeofday, &[outs("tv", &TIMEVAL), outs("tz", &TIMEZONE)]),
    attr(X::getrlimit, &[fl("resource", &fp::RLIMIT), outs("rlim", &RLIMIT)]),
    attr(X::getrusage, &[fl("who", &fp::RUSAGE), outs("ru", &RUSAGE)]),
    system(X::sysinfo, &[outs("info", &SYSINFO)]),
    clock(X::times, &[outs("tbuf", &TMS)]).returns(Ret::Host),
    process(X::ptrace, &[int("request"), pid("pid"), addr("addr"), addr("data")])
        .returns(Ret::Host),
    cred(X::getuid, &[]).returns(Ret::Host),
    system(X::syslog, &[int("type"), addr("buf"), int("len")]).returns(Ret::Host),
    cred(X::getgid, &[]).returns(Ret::Host),
    cred(X::setuid, &[uid("uid")]),
    cred(X::setgid, &[gid("gid")]),
    cred(X::geteuid, &[]).returns(Ret::Host),
    cred(X::getegid, &[]).returns(Ret::Host),
    attr(X::setpgid, &[pid("pid"), pid("pgid")]),
    attr(X::getppid, &[]).returns(Ret::Pid),
    attr(X::getpgrp, &[]).returns(Ret::Pid),
    attr(X::setsid, &[]).returns(Ret::Pid),
    cred(X::setreuid, &[uid("ruid"), uid("euid")]),
    cred(X::setregid, &[gid("rgid"), gid("egid")]),
    cred(
        X::getgroups,
        &[int("gidsetsize"), output("grouplist", Len::Ret { max: Some(0), unit: 4 }, &HOST_INTS)],
    )
    .returns(Ret::Host),
    cred(
        X::setgroups,
        &[int("gidsetsize"), input("grouplist", Len::Arg { n: 0, unit: 4 }, &HOST_INTS)],
    ),
    cred(X::setresuid, &[uid("ruid"), uid("euid"), uid("suid")]),
    cred(
        X::getresuid,
        &[outs("ruidp", &HOST_INT), outs("euidp", &HOST_INT), outs("suidp", &HOST_INT)],
    ),
    cred(X::setresgid, &[gid("rgid"), gid("egid"), gid("sgid")]),
    cred(
        X::getresgid,
        &[outs("rgidp", &HOST_INT), outs("egidp", &HOST_INT), outs("sgidp", &HOST_INT)],
    ),
    attr(X::getpgid, &[pid("pid")]).returns(Ret::Pid),
    cred(X::setfsuid, &[uid("uid")]).returns(Ret::Host),
    cred(X::setfsgid, &[gid("gid")]).returns(Ret::Host),
    attr(X::getsid, &[pid("pid")]).returns(Ret::Pid),
    cred(X::capget, &[inouts("header", &CAP_HEADER), output("dataptr", Len::Fixed(24), &HOST)]),
    cred(X::capset, &[ins("header", &CAP_HEADER), input("data", Len::Fixed(24), &OPAQUE)]),
    signal(X::rt_sigpending, &[output("uset", by(1), &SIGSET), size("sigsetsize")]),
    signal(
        X::rt_sigtimedwait,
        &[
            input("uthese", by(3), &SIGSET),
            outs("uinfo", &SIGINFO),
            ins("uts", &TIMESPEC),
            size("sigsetsize"),
        ],
    )
    .returns(Ret::Int)
    .counted(IoClass::Wait),
    signal(X::rt_sigqueueinfo, &[pid("pid"), sig("sig"), ins("uinfo", &SIGINFO)]),
    signal(X::rt_sigsuspend, &[input("unewset", by(1), &SIGSET), size("sigsetsize")])
        .counted(IoClass::Wait),
    signal(X::sigaltstack, &[ins("uss", &SIGALTSTACK), outs("uoss", &SIGALTSTACK)]),
    file(X::utime, &[path("filename"), ins("times", &UTIMBUF)]).changes(),
    file(X::mknod, &[name("filename", None, Role::Create), mode("mode"), dev("dev")]).changes(),
    gone(X::uselib, &[path("library")]).groups(F),
    attr(X::personality, &[fl("personality", &fp::PERSONALITY)]).returns(Ret::Host),
    system(X::ustat, &[dev("dev"), outs("ubuf", &USTAT)]),
    file(X::statfs, &[path("pathname"), outs("buf", &STATFS)]),
    desc(X::fstatfs, &[fd("fd"), outs("buf", &STATFS)]).counted(IoClass::Stat),
    system(X::sysfs, &[int("option"), hex("arg1"), hex("arg2")]).returns(Ret::Host),
    attr(X::getpriority, &[fl("which", &fp::PRIO), int("who")]).returns(Ret::Host),
    attr(X::setpriority, &[fl("which", &fp::PRIO), int("who"), int("niceval")]),
    attr(X::sched_setparam, &[pid("pid"), ins("param", &INT)]),
    attr(X::sched_getparam, &[pid("pid"), outs("param", &INT)]),
    attr(X::sched_setscheduler, &[pid("pid"), fl("policy", &fp::SCHED), ins("param", &INT)]),
    attr(X::sched_getscheduler, &[pid("pid")]).returns(Ret::Host),
    attr(X::sched_get_priority_max, &[fl("policy", &fp::SCHED)]).returns(Ret::Host),
    attr(X::sched_get_priority_min, &[fl("policy", &fp::SCHED)]).returns(Ret::Host),
    attr(X::sched_rr_get_interval, &[pid("pid"), outs("interval", &TIMESPEC)]),
    mem(X::mlock, &[addr("start"), size("len")]),
    mem(X::munlock, &[addr("start"), size("len")]),
    mem(X::mlockall, &[fl("flags", &fp::MLOCKALL)]),
    mem(X::munlockall, &[]),
    system(X::vhangup, &[]),
    mem(X::modify_ldt, &[int("func"), addr("ptr"), size("bytecount")]).returns(Ret::Host),
    mount(X::pivot_root, &[path("new_root"), path("put_old")]).does(Effect::PivotRoot).groups(F),
    gone(X::_sysctl, &[]),
    attr(X::prctl, &[fl("option", &fp::PRCTL), hex("arg2"), hex("arg3"), hex("arg4"), hex("arg5")])
        .returns(Ret::Host)
        .variants(0, PRCTL),
    attr(X::arch_prctl, &[fl("option", &fp::ARCH_PRCTL), addr("arg2")])
        .returns(Ret::Host)
        .variants(0, ARCH_PRCTL),
    clock(X::adjtimex, &[output("txc_p", Len::Fixed(208), &HOST)]).returns(Ret::Host),
    attr(X::setrlimit, &[fl("resource", &fp::RLIMIT), ins("rlim", &RLIMIT)]),
    mount(X::chroot, &[path("filename")]).does(Effect::Chroot).groups(F),
    Row::new(X::sync, &[]).does(Effect::Sync),
    system(X::acct, &[path("name")]).groups(F),
    clock(X::settimeofday, &[ins("tv", &TIMEVAL), ins("tz", &TIMEZONE)]),
    mount(
        X::mount,
        &[text("dev_name"), path("dir_name"), text("type"), fl("flags", &ff::MOUNT), text("data")],
    )
    .does(Effect::Mount)
    .groups(F),
    mount(X::umount2, &[path("name"), fl("flags", &ff::UMOUNT)]).does(Effect::Unmount).groups(F),
    mount(X::swapon, &[path("specialfile"), hex("swap_flags")]).groups(F),
    mount(X::swapoff, &[path("specialfile")]).groups(F),
    system(X::reboot, &[hex("magic1"), hex("magic2"), fl("cmd", &fp::REBOOT), addr("arg")])
        .returns(Ret::Host),
    system(X::sethostname, &[input("name", by(1), &OPAQUE), int("len")]),
    system(X::setdomainname, &[input("name", by(1), &OPAQUE), int("len")]),
    system(X::iopl, &[uint("level")]),
    system(X::ioperm, &[hex("from"), size("num"), int("turn_on")]),
    gone(X::create_module, &[]),
    system(X::init_module, &[addr("umod"), size("len"), text("uargs")]),
    system(X::delete_module, &[text("name_user"), hex("flags")]),
    gone(X::get_kernel_syms, &[]),
    gone(X::query_module, &[]),
    mount(X::quotactl, &[fl("cmd", &ff::QUOTA), path("special"), uint("id"), addr("addr")])
        .masked(!0xff)
        .variants(0, QUOTA)
        .groups(F),
    gone(X::nfsservctl, &[]),
    gone(X::getpmsg, &[]),
    gone(X::putpmsg, &[]),
    gone(X::afs_syscall, &[]),
    gone(X::tuxcall, &[]),
    gone(X::security, &[]),
    attr(X::gettid, &[]).returns(Ret::Pid),
    desc(X::readahead, &[fd("fd"), off("offset"), size("count")]),
    file(
        X::setxattr,
        &[
            path("pathname"),
            text("name"),
            input("value", by(3), &OPAQUE),
            size("size"),
            fl("flags", &ff::XATTR),
        ],
    )
    .changes()
    .groups(XA),
    file(
        X::lsetxattr,
        &[
            lpath("pathname"),
            text("name"),
            input("value", by(3), &OPAQUE),
            size("size"),
            fl("flags", &ff::XATTR),
        ],
    )
    .changes()
    .groups(XA),
    desc(
        X::fsetxattr,
        &[
            fd("fd"),
            text("name"),
            input("value", by(3), &OPAQUE),
            size("size"),
            fl("flags", &ff::XATTR),
        ],
    )
    .changes()
    .groups(XA),
    file(
        X::getxattr,
        &[path("pathname"), text("name"), output("value", ret(3), &OPAQUE), size("size")],
    )
    .returns(Ret::Count)
    .groups(XA),
    file(
        X::lgetxattr,
        &[lpath("pathname"), text("name"), output("value", ret(3), &OPAQUE), size("size")],
    )
    .returns(Ret::Count)
    .groups(XA),
    desc(X::fgetxattr, &[fd("fd"), text("name"), output("value", ret(3), &OPAQUE), size("size")])
        .returns(Ret::Count)
        .groups(XA),
    file(X::listxattr, &[path("pathname"), output("list", ret(2), &NAMES), size("size")])
        .returns(Ret::Count)
        .groups(XA),
    file(X::llistxattr, &[lpath("pathname"), output("list", ret(2), &NAMES), size("size")])
        .returns(Ret::Count)
        .groups(XA),
    desc(X::flistxattr, &[fd("fd"), output("list", ret(2), &NAMES), size("size")])
        .returns(Ret::Count)
        .groups(XA),
    file(X::removexattr, &[path("pathname"), text("name")]).changes().groups(XA),
    file(X::lremovexattr, &[lpath("pathname"), text("name")]).changes().groups(XA),
    desc(X::fremovexattr, &[fd("fd"), text("name")]).changes().groups(XA),
    signal(X::tkill, &[pid("pid"), sig("sig")]).groups(Groups::PROCESS),
    clock(X::time, &[outs("tloc", &HOST_U64)]).returns(Ret::Host),
    wait(
        X::futex,
        &[
            addr("uaddr"),
            fl("op", &fp::FUTEX),
            uint("val"),
            addr("utime"),
            addr("uaddr2"),
            hex("val3"),
        ],
    )
    .returns(Ret::Host)
    .masked(0x7f)
    .variants(1, FUTEX),
    attr(X::sched_setaffinity, &[pid("pid"), size("len"), input("user_mask_ptr", by(1), &BITS)]),
    attr(X::sched_getaffinity, &[pid("pid"), size("len"), output("user_mask_ptr", ret(1), &BITS)])
        .returns(Ret::Host),
    gone(X::set_thread_area, &[addr("u_info")]),
    aio(X::io_setup, &[uint("nr_events"), inouts("ctxp", &HOST_U64)])
        .does(Effect::Aio(AioUse::Create)),
    aio(X::io_destroy, &[addr("ctx")]).does(Effect::Aio(AioUse::Destroy)),
    aio(
        X::io_getevents,
        &[
            addr("ctx_id"),
            int("min_nr"),
            int("nr"),
            output("events", ret_each(2, &IO_EVENT), &IO_EVENT),
            ins("timeout", &TIMESPEC),
        ],
    )
    .returns(Ret::Int)
    .does(Effect::Aio(AioUse::Reap))
    .counted(IoClass::Wait),
    aio(X::io_submit, &[addr("ctx_id"), int("nr"), arg("iocbpp", Kind::Iocbs { count: 1 })])
        .returns(Ret::Int)
        .does(Effect::Aio(AioUse::Submit))
        .leaves_unrecorded(UnrecordedEffect::AsyncOperations),
    aio(X::io_cancel, &[addr("ctx_id"), ins("iocb", &IOCB), outs("result", &IO_EVENT)])
        .does(Effect::Aio(AioUse::Cancel)),
    gone(X::get_thread_area, &[addr("u_info")]),
    gone(X::lookup_dcookie, &[hex("cookie64"), addr("buf"), size("len")]).returns(Ret::Count),
    pipe(X::epoll_create, &[int("size")]).returns(Ret::Fd),
    gone(X::epoll_ctl_old, &[]),
    gone(X::epoll_wait_old, &[]),
    mem(
        X::remap_file_pages,
        &[addr("start"), size("size"), fl("prot", &fp::PROT), hex("pgoff"), fl("flags", &fp::MAP)],
    )
    .does(Effect::MoveMapping),
    desc(X::getdents64, &[fd("fd"), output("dirent", ret(2), &DIRENTS64), size("count")])
        .returns(Ret::Count),
    attr(X::set_tid_address, &[addr("tidptr")]).returns(Ret::Pid),
    signal(X::restart_syscall, &[]).returns(Ret::Host),
    ipc(
        X::semtimedop,
        &[
            int("semid"),
            input("tsops", each(2, &SEMBUF), &SEMBUF),
            uint("nsops"),
            ins("timeout", &TIMESPEC),
        ],
    )
    .counted(IoClass::Wait),
    desc(X::fadvise64, &[fd("fd"), off("offset"), size("len"), fl("advice", &fi::FADVISE)]),
    clock(
        X::timer_create,
        &[
            fl("which_clock", &fp::CLOCKS),
            input("timer_event_spec", Len::Fixed(64), &OPAQUE),
            outs("created_timer_id", &HOST_INT),
        ],
    ),
    clock(
        X::timer_settime,
        &[
            int("timer_id"),
            fl("flags", &fp::TIMER),
            ins("new_setting", &ITIMERSPEC),
            outs("old_setting", &ITIMERSPEC),
        ],
    ),
    clock(X::timer_gettime, &[int("timer_id"), outs("setting", &ITIMERSPEC)]),
    clock(X::timer_getoverrun, &[int("timer_id")]).returns(Ret::Host),
    clock(X::timer_delete, &[int("timer_id")]),
    clock(X::clock_settime, &[fl("which_clock", &fp::CLOCKS), ins("tp", &TIMESPEC)]),
    clock(X::clock_gettime, &[fl("which_clock", &fp::CLOCKS), outs("tp", &TIMESPEC)]),
    clock(X::clock_getres, &[fl("which_clock", &fp::CLOCKS), outs("tp", &TIMESPEC)]),
    clock(
        X::clock_nanosleep,
        &[
            fl("which_clock", &fp::CLOCKS),
            fl("flags", &fp::TIMER),
            ins("rqtp", &TIMESPEC),
            outs("rmtp", &TIMESPEC),
        ],
    )
    .counted(IoClass::Wait),
    process(X::exit_group, &[int("error_code")]).returns(Ret::Never).does(Effect::ExitGroup),
    wait(
        X::epoll_wait,
        &[
            fd("epfd"),
            output("events", ret_each(2, &EPOLL_EVENT), &EPOLL_EVENT),
            int("maxevents"),
            int("timeout"),
        ],
    )
    .returns(Ret::Int)
    .groups(D),
    pipe(
        X::epoll_ctl,
        &[fd("epfd"), fl("op", &fi::EPOLL_CTL), fd("fd"), ins("event", &EPOLL_EVENT)],
    ),
    signal(X::tgkill, &[pid("tgid"), pid("pid"), sig("sig")]).groups(Groups::PROCESS),
    file(X::utimes, &[path("filename"), input("utimes", Len::Fixed(32), &TIMEVALS)]).changes(),
    gone(X::vserver, &[]),
    mem(
        X::mbind,
        &[
            addr("start"),
            size("len"),
            hex("mode"),
            input("nmask", Len::Bits { n: 4 }, &BITS),
            size("maxnode"),
            hex("flags"),
        ],
    ),
    mem(
        X::set_mempolicy,
        &[hex("mode"), input("nmask", Len::Bits { n: 2 }, &BITS), size("maxnode")],
    ),
    mem(
        X::get_mempolicy,
        &[
            outs("policy", &HOST_INT),
            output("nmask", Len::Bits { n: 2 }, &BITS),
            size("maxnode"),
            addr("addr"),
            hex("flags"),
        ],
    ),
    ipc(
        X::mq_open,
        &[text("u_name"), fl("oflag", &ff::OPEN), mode("mode"), ins("u_attr", &MQ_ATTR)],
    )
    .returns(Ret::Fd)
    .groups(D),
    ipc(X::mq_unlink, &[text("u_name")]),
    ipc(
        X::mq_timedsend,
        &[
            fd("mqdes"),
            input("u_msg_ptr", by(2), &OPAQUE),
            size("msg_len"),
            uint("msg_prio"),
            ins("u_abs_timeout", &TIMESPEC),
        ],
    )
    .groups(D)
    .counted(IoClass::Wait),
    ipc(
        X::mq_timedreceive,
        &[
            fd("mqdes"),
            output("u_msg_ptr", ret(2), &OPAQUE),
            size("msg_len"),
            outs("u_msg_prio", &UINT),
            ins("u_abs_timeout", &TIMESPEC),
        ],
    )
    .returns(Ret::Count)
    .groups(D)
    .counted(IoClass::Wait),
    ipc(X::mq_notify, &[fd("mqdes"), input("u_notification", Len::Fixed(64), &OPAQUE)]).groups(D),
    ipc(X::mq_getsetattr, &[fd("mqdes"), ins("u_mqstat", &MQ_ATTR), outs("u_omqstat", &MQ_ATTR)])
        .groups(D),
    system(X::kexec_load, &[addr("entry"), size("nr_segments"), addr("segments"), hex("flags")]),
    process(
        X::waitid,
        &[
            fl("which", &fp::WAIT_ID),
            pid("upid"),
            outs("infop", &SIGINFO),
            fl("options", &fp::WAIT),
            outs("ru", &RUSAGE),
        ],
    )
    .counted(IoClass::Wait),
    system(
        X::add_key,
        &[
            text("_type"),
            text("_description"),
            input("_payload", by(3), &OPAQUE),
            size("plen"),
            int("ringid"),
        ],
    )
    .returns(Ret::Host),
    system(
        X::request_key,
        &[text("_type"), text("_description"), text("_callout_info"), int("destringid")],
    )
    .returns(Ret::Host),
    system(X::keyctl, &[int("option"), hex("arg2"), hex("arg3"), hex("arg4"), hex("arg5")])
        .returns(Ret::Host),
    attr(X::ioprio_set, &[int("which"), int("who"), hex("ioprio")]),
    attr(X::ioprio_get, &[int("which"), int("who")]).returns(Ret::Host),
    watch(X::inotify_init, &[]).returns(Ret::Fd),
    watch(
        X::inotify_add_watch,
        &[
            fd("fd"),
            at(
                "pathname",
                None,
                Role::Lookup,
                Follow::Unless { arg: 2, bit: raw::IN_DONT_FOLLOW as u64 },
            ),
            fl("mask", &fi::INOTIFY_MASK),
        ],
    )
    .returns(Ret::Host)
    .groups(F),
    watch(X::inotify_rm_watch, &[fd("fd"), int("wd")]),
    mem(
        X::migrate_pages,
        &[
            pid("pid"),
            size("maxnode"),
            input("old_nodes", Len::Bits { n: 1 }, &BITS),
            input("new_nodes", Len::Bits { n: 1 }, &BITS),
        ],
    )
    .returns(Ret::Host),
    both(
        X::openat,
        &[dirfd("dfd"), opened("filename", Some(0), 2), fl("flags", &ff::OPEN), mode("mode")],
    )
    .returns(Ret::Fd)
    .changes(),
    both(X::mkdirat, &[dirfd("dfd"), name("pathname", Some(0), Role::Create), mode("mode")])
        .changes(),
    both(
        X::mknodat,
        &[dirfd("dfd"), name("filename", Some(0), Role::Create), mode("mode"), dev("dev")],
    )
    .changes(),
    both(
        X::fchownat,
        &[dirfd("dfd"), lpath_at("filename", 0, 4), uid("user"), gid("group"), fl("flag", &ff::AT)],
    )
    .changes(),
    both(
        X::futimesat,
        &[dirfd("dfd"), path_at("filename", 0), input("utimes", Len::Fixed(32), &TIMEVALS)],
    )
    .changes(),
    both(
        X::newfstatat,
        &[dirfd("dfd"), lpath_at("filename", 0, 3), outs("statbuf", &STAT), fl("flag", &ff::AT)],
    )
    .groups(STATS),
    both(
        X::unlinkat,
        &[dirfd("dfd"), name("pathname", Some(0), Role::Remove), fl("flag", &ff::UNLINKAT)],
    )
    .changes(),
    both(
        X::renameat,
        &[
            dirfd("olddfd"),
            name("oldname", Some(0), Role::Source),
            dirfd("newdfd"),
            name("newname", Some(2), Role::Target),
        ],
    )
    .changes(),
    both(
        X::linkat,
        &[
            dirfd("olddfd"),
            at("oldname", Some(0), Role::Lookup, Follow::If { arg: 4, bit: SYMLINK_FOLLOW }),
            dirfd("newdfd"),
            name("newname", Some(2), Role::Create),
            fl("flags", &ff::AT),
        ],
    )
    .changes(),
    both(X::symlinkat, &[text("oldname"), dirfd("newdfd"), name("newname", Some(1), Role::Create)])
        .changes(),
    both(
        X::readlinkat,
        &[
            dirfd("dfd"),
            name("pathname", Some(0), Role::Lookup),
            output("buf", ret(3), &TEXT),
            size("bufsiz"),
        ],
    )
    .returns(Ret::Count),
    both(X::fchmodat, &[dirfd("dfd"), path_at("filename", 0), mode("mode")]).changes(),
    both(X::faccessat, &[dirfd("dfd"), path_at("filename", 0), fl("mode", &ff::ACCESS)]),
    wait(
        X::pselect6,
        &[
            int("n"),
            inout("inp", Len::Bits { n: 0 }, &BITS),
            inout("outp", Len::Bits { n: 0 }, &BITS),
            inout("exp", Len::Bits { n: 0 }, &BITS),
            inouts("tsp", &TIMESPEC),
            addr("sig"),
        ],
    )
    .returns(Ret::Int)
    .groups(D),
    wait(
        X::ppoll,
        &[
            inout("ufds", each(1, &POLLFD), &POLLFD),
            uint("nfds"),
            inouts("tsp", &TIMESPEC),
            input("sigmask", by(4), &SIGSET),
            size("sigsetsize"),
        ],
    )
    .returns(Ret::Int)
    .groups(D),
    process(X::unshare, &[fl("unshare_flags", &fp::CLONE)]).does(Effect::Unshare),
    attr(X::set_robust_list, &[addr("head"), size("len")]),
    attr(
        X::get_robust_list,
        &[pid("pid"), outs("head_ptr", &HOST_U64), outs("len_ptr", &HOST_U64)],
    ),
    desc(
        X::splice,
        &[
            fd("fd_in"),
            inouts("off_in", &LOFF),
            fd("fd_out"),
            inouts("off_out", &LOFF),
            size("len"),
            fl("flags", &fi::SPLICE),
        ],
    )
    .returns(Ret::Bytes)
    .changes()
    .copies(pointed(0, 1), pointed(2, 3), ret(4)),
    pipe(X::tee, &[fd("fdin"), fd("fdout"), size("len"), fl("flags", &fi::SPLICE)])
        .returns(Ret::Bytes),
    desc(
        X::sync_file_range,
        &[fd("fd"), off("offset"), off("nbytes"), fl("flags", &fi::SYNC_RANGE)],
    )
    .counted(IoClass::Sync),
    pipe(
        X::vmsplice,
        &[
            fd("fd"),
            arg("uiov", Kind::InIov { count: 2 }),
            size("nr_segs"),
            fl("flags", &fi::SPLICE),
        ],
    )
    .returns(Ret::Bytes),
    mem(
        X::move_pages,
        &[
            pid("pid"),
            size("nr_pages"),
            input("pages", Len::Arg { n: 1, unit: 8 }, &HOST_U64S),
            input("nodes", Len::Arg { n: 1, unit: 4 }, &HOST_INTS),
            output("status", Len::Arg { n: 1, unit: 4 }, &HOST_INTS),
            hex("flags"),
        ],
    )
    .returns(Ret::Host),
    both(
        X::utimensat,
        &[
            dirfd("dfd"),
            lpath_at("filename", 0, 3),
            input("utimes", Len::Fixed(32), &TIMESPECS),
            fl("flags", &ff::AT),
        ],
    )
    .changes(),
    wait(
        X::epoll_pwait,
        &[
            fd("epfd"),
            output("events", ret_each(2, &EPOLL_EVENT), &EPOLL_EVENT),
            int("maxevents"),
            int("timeout"),
            input("sigmask", by(5), &SIGSET),
            size("sigsetsize"),
        ],
    )
    .returns(Ret::Int)
    .groups(D),
    pipe(X::signalfd, &[fd("ufd"), input("user_mask", by(2), &SIGSET), size("sizemask")])
        .returns(Ret::Fd)
        .groups(Groups::SIGNAL),
    pipe(X::timerfd_create, &[fl("clockid", &fp::CLOCKS), fl("flags", &fi::TIMERFD)])
        .returns(Ret::Fd),
    pipe(X::eventfd, &[uint("count")]).returns(Ret::Fd),
    desc(X::fallocate, &[fd("fd"), fl("mode", &ff::FALLOC), off("offset"), off("len")])
        .does(Effect::Allocate)
        .changes(),
    pipe(
        X::timerfd_settime,
        &[
            fd("ufd"),
            fl("flags", &fi::TIMERFD_SET),
            ins("utmr", &ITIMERSPEC),
            outs("otmr", &ITIMERSPEC),
        ],
    ),
    pipe(X::timerfd_gettime, &[fd("ufd"), outs("otmr", &ITIMERSPEC)]),
    net(
        X::accept4,
        &[
            fd("fd"),
            output("upeer_sockaddr", deref(2), &SOCKADDR),
            inouts("upeer_addrlen", &INT),
            fl("flags", &fnet::ACCEPT),
        ],
    )
    .returns(Ret::Fd),
    pipe(
        X::signalfd4,
        &[
            fd("ufd"),
            input("user_mask", by(2), &SIGSET),
            size("sizemask"),
            fl("flags", &fi::SIGNALFD),
        ],
    )
    .returns(Ret::Fd)
    .groups(Groups::SIGNAL),
    pipe(X::eventfd2, &[uint("count"), fl("flags", &fi::EVENTFD)]).returns(Ret::Fd),
    pipe(X::epoll_create1, &[fl("flags", &fi::EPOLL_CREATE)]).returns(Ret::Fd),
    desc(X::dup3, &[fd("oldfd"), int("newfd"), fl("flags", &fi::NEW_FD)])
        .returns(Ret::Fd)
        .does(Effect::DupTo { old: 0, new: 1 }),
    pipe(X::pipe2, &[output("fildes", Len::Fixed(8), &FDS), fl("flags", &fi::PIPE)])
        .does(Effect::Pair { fds: 0, flags: Some(1) }),
    watch(X::inotify_init1, &[fl("flags", &fi::INOTIFY)]).returns(Ret::Fd),
    desc(
        X::preadv,
        &[
            fd("fd"),
            arg("vec", Kind::OutIov { count: 2 }),
            size("vlen"),
            pos("pos_l"),
            poshigh("pos_h"),
        ],
    )
    .returns(Ret::Bytes),
    desc(
        X::pwritev,
        &[
            fd("fd"),
            arg("vec", Kind::InIov { count: 2 }),
            size("vlen"),
            pos("pos_l"),
            poshigh("pos_h"),
        ],
    )
    .returns(Ret::Bytes)
    .changes(),
    signal(X::rt_tgsigqueueinfo, &[pid("tgid"), pid("pid"), sig("sig"), ins("uinfo", &SIGINFO)])
        .groups(Groups::PROCESS),
    system(
        X::perf_event_open,
        &[
            input("attr_uptr", Len::Head { at: 4, base: 0, unit: 1 }, &OPAQUE),
            pid("pid"),
            int("cpu"),
            fd("group_fd"),
            fl("flags", &fi::PERF),
        ],
    )
    .returns(Ret::Fd)
    .groups(D),
    net(
        X::recvmmsg,
        &[
            fd("fd"),
            arg("mmsg", Kind::OutMsgs { count: 2 }),
            uint("vlen"),
            fl("flags", &fnet::MSG),
            inouts("timeout", &TIMESPEC),
        ],
    )
    .returns(Ret::Int)
    .does(Effect::Receive),
    watch(X::fanotify_init, &[fl("flags", &fi::FANOTIFY), fl("event_f_flags", &ff::OPEN)])
        .returns(Ret::Fd),
    watch(
        X::fanotify_mark,
        &[
            fd("fanotify_fd"),
            fl("flags", &fi::FANOTIFY_MARK),
            hex("mask"),
            dirfd("dfd"),
            at("pathname", Some(3), Role::Lookup, Follow::Unless { arg: 1, bit: 4 }),
        ],
    )
    .groups(F),
    attr(
        X::prlimit64,
        &[
            pid("pid"),
            fl("resource", &fp::RLIMIT),
            ins("new_rlim", &RLIMIT),
            outs("old_rlim", &RLIMIT),
        ],
    ),
    both(
        X::name_to_handle_at,
        &[
            dirfd("dfd"),
            at("name", Some(0), Role::Lookup, Follow::If { arg: 4, bit: SYMLINK_FOLLOW }),
            inout("handle", Len::Head { at: 0, base: 8, unit: 1 }, &HOST),
            outs("mnt_id", &HOST_INT),
            fl("flag", &ff::HANDLE),
        ],
    )
    .skipped(Class::System),
    desc(
        X::open_by_handle_at,
        &[
            fd("mountdirfd"),
            input("handle", Len::Head { at: 0, base: 8, unit: 1 }, &HOST),
            fl("flags", &ff::OPEN),
        ],
    )
    .returns(Ret::Fd)
    .skipped(Class::System)
    .counted(IoClass::Open),
    clock(
        X::clock_adjtime,
        &[fl("which_clock", &fp::CLOCKS), output("utx", Len::Fixed(208), &HOST)],
    )
    .returns(Ret::Host),
    desc(X::syncfs, &[fd("fd")]).counted(IoClass::Sync),
    net(
        X::sendmmsg,
        &[fd("fd"), arg("mmsg", Kind::InMsgs { count: 2 }), uint("vlen"), fl("flags", &fnet::MSG)],
    )
    .returns(Ret::Int),
    mount(X::setns, &[fd("fd"), fl("flags", &fp::CLONE)]).does(Effect::EnterSpace).groups(D),
    attr(X::getcpu, &[outs("cpup", &HOST_INT), outs("nodep", &HOST_INT), unused("unused")]),
    process(
        X::process_vm_readv,
        &[
            pid("pid"),
            arg("lvec", Kind::OutIov { count: 2 }),
            size("liovcnt"),
            input("rvec", each(4, &IOVEC), &IOVEC),
            size("riovcnt"),
            hex("flags"),
        ],
    )
    .returns(Ret::Bytes),
    process(
        X::process_vm_writev,
        &[
            pid("pid"),
            arg("lvec", Kind::InIov { count: 2 }),
            size("liovcnt"),
            input("rvec", each(4, &IOVEC), &IOVEC),
            size("riovcnt"),
            hex("flags"),
        ],
    )
    .returns(Ret::Bytes),
    attr(X::kcmp, &[pid("pid1"), pid("pid2"), int("type"), hex("idx1"), hex("idx2")])
        .returns(Ret::Host)
        .groups(D),
    system(X::finit_module, &[fd("fd"), text("uargs"), hex("flags")]).groups(D),
    attr(X::sched_setattr, &[pid("pid"), input("uattr", own_size(), &OPAQUE), hex("flags")]),
    attr(
        X::sched_getattr,
        &[pid("pid"), output("uattr", by(2), &HOST), size("usize"), hex("flags")],
    ),
    both(
        X::renameat2,
        &[
            dirfd("olddfd"),
            name("oldname", Some(0), Role::Source),
            dirfd("newdfd"),
            name("newname", Some(2), Role::Target),
            fl("flags", &ff::RENAME),
        ],
    )
    .changes(),
    attr(
        X::seccomp,
        &[fl("op", &fp::SECCOMP), hex("flags"), input("uargs", Len::Fixed(16), &HOST)],
    )
    .returns(Ret::Host),
    system(X::getrandom, &[output("ubuf", ret(1), &HOST), size("len"), fl("flags", &fp::GRND)])
        .returns(Ret::Count),
    desc(X::memfd_create, &[text("uname"), fl("flags", &fi::MEMFD)])
        .returns(Ret::Fd)
        .counted(IoClass::Open),
    system(
        X::kexec_file_load,
        &[
            fd("kernel_fd"),
            fd("initrd_fd"),
            size("cmdline_len"),
            input("cmdline_ptr", by(2), &OPAQUE),
            hex("flags"),
        ],
    )
    .groups(D),
    system(X::bpf, &[fl("cmd", &fp::BPF), input("uattr", by(2), &OPAQUE), size("size")])
        .returns(Ret::Host)
        .groups(D)
        .variants(0, BPF),
    process(
        X::execveat,
        &[
            dirfd("fd"),
            lpath_at("filename", 0, 4),
            texts("argv"),
            texts("envp"),
            fl("flags", &ff::EXECVEAT),
        ],
    )
    .does(Effect::Exec)
    .groups(DF),
    mem(X::userfaultfd, &[fl("flags", &fi::USERFAULT)]).returns(Ret::Fd).groups(D),
    mem(X::membarrier, &[fl("cmd", &fp::MEMBARRIER), hex("flags"), int("cpu_id")])
        .returns(Ret::Host),
    mem(X::mlock2, &[addr("start"), size("len"), fl("flags", &fp::MLOCK)]),
    desc(
        X::copy_file_range,
        &[
            fd("fd_in"),
            inouts("off_in", &LOFF),
            fd("fd_out"),
            inouts("off_out", &LOFF),
            size("len"),
            hex("flags"),
        ],
    )
    .returns(Ret::Bytes)
    .changes()
    .copies(pointed(0, 1), pointed(2, 3), ret(4)),
    desc(
        X::preadv2,
        &[
            fd("fd"),
            arg("vec", Kind::OutIov { count: 2 }),
            size("vlen"),
            pos("pos_l"),
            poshigh("pos_h"),
            fl("flags", &fi::RWF),
        ],
    )
    .returns(Ret::Bytes),
    desc(
        X::pwritev2,
        &[
            fd("fd"),
            arg("vec", Kind::InIov { count: 2 }),
            size("vlen"),
            pos("pos_l"),
            poshigh("pos_h"),
            fl("flags", &fi::RWF),
        ],
    )
    .returns(Ret::Bytes)
    .changes(),
    mem(X::pkey_mprotect, &[addr("start"), size("len"), fl("prot", &fp::PROT), int("pkey")])
        .leaves_unrecorded(UnrecordedEffect::ProtectionChange),
    mem(X::pkey_alloc, &[hex("flags"), hex("init_val")]).returns(Ret::Host),
    mem(X::pkey_free, &[int("pkey")]),
    both(
        X::statx,
        &[
            dirfd("dfd"),
            lpath_at("filename", 0, 2),
            fl("flags", &ff::AT),
            fl("mask", &ff::STATX_MASK),
            outs("buffer", &STATX),
        ],
    )
    .groups(STATS),
    aio(
        X::io_pgetevents,
        &[
            addr("ctx_id"),
            int("min_nr"),
            int("nr"),
            output("events", ret_each(2, &IO_EVENT), &IO_EVENT),
            ins("timeout", &TIMESPEC),
            addr("usig"),
        ],
    )
    .returns(Ret::Int)
    .does(Effect::Aio(AioUse::Reap))
    .counted(IoClass::Wait),
    attr(X::rseq, &[addr("rseq"), hex("rseq_len"), hex("flags"), hex("sig")]),
    attr(X::uretprobe, &[]).returns(Ret::Host),
    attr(X::uprobe, &[]).returns(Ret::Host),
    signal(X::pidfd_send_signal, &[fd("pidfd"), sig("sig"), ins("info", &SIGINFO), hex("flags")])
        .groups(Groups::PROCESS.or(D)),
    aio(X::io_uring_setup, &[uint("entries"), inouts("params", &URING_PARAMS)])
        .returns(Ret::Fd)
        .leaves_unrecorded(UnrecordedEffect::KernelPolling {
            arg: 1,
            at: 8,
            bit: IORING_SETUP_SQPOLL,
        })
        .groups(D),
    aio(
        X::io_uring_enter,
        &[
            fd("fd"),
            uint("to_submit"),
            uint("min_complete"),
            fl("flags", &fi::URING_ENTER),
            input("argp", by(5), &OPAQUE),
            size("argsz"),
        ],
    )
    .returns(Ret::Host)
    .leaves_unrecorded(UnrecordedEffect::AsyncOperations)
    .groups(D)
    .counted(IoClass::Wait),
    aio(X::io_uring_register, &[fd("fd"), uint("opcode"), addr("arg"), uint("nr_args")])
        .returns(Ret::Host)
        .groups(D)
        .variants(1, URING_REGISTER),
    mount(X::open_tree, &[dirfd("dfd"), lpath_at("filename", 0, 2), fl("flags", &ff::OPEN_TREE)])
        .returns(Ret::Fd)
        .does(Effect::OpenTree)
        .groups(DF),
    mount(
        X::move_mount,
        &[
            dirfd("from_dfd"),
            at("from_pathname", Some(0), Role::Lookup, Follow::If { arg: 4, bit: 1 }),
            dirfd("to_dfd"),
            at(
                "to_pathname",
                Some(2),
                Role::Lookup,
                Follow::If { arg: 4, bit: raw::MOVE_MOUNT_T_SYMLINKS as u64 },
            ),
            fl("flags", &ff::MOVE_MOUNT),
        ],
    )
    .does(Effect::MoveMount)
    .groups(DF),
    mount(X::fsopen, &[text("_fs_name"), fl("flags", &ff::FSOPEN)]).returns(Ret::Fd).groups(D),
    mount(
        X::fsconfig,
        &[fd("fd"), fl("cmd", &ff::FSCONFIG), text("_key"), addr("_value"), int("aux")],
    )
    .groups(D)
    .variants(1, FSCONFIG),
    mount(X::fsmount, &[fd("fs_fd"), fl("flags", &ff::FSMOUNT), fl("attr_flags", &ff::MOUNT_ATTR)])
        .returns(Ret::Fd)
        .does(Effect::MakeMount)
        .groups(D),
    mount(
        X::fspick,
        &[
            dirfd("dfd"),
            at("path", Some(0), Role::Lookup, Follow::Unless { arg: 2, bit: 2 }),
            fl("flags", &ff::FSPICK),
        ],
    )
    .returns(Ret::Fd)
    .groups(DF),
    process(X::pidfd_open, &[pid("pid"), fl("flags", &fp::PIDFD)]).returns(Ret::Fd).groups(D),
    process(X::clone3, &[input("uargs", by(1), &CLONE_ARGS), size("size")])
        .returns(Ret::Pid)
        .does(Effect::Fork),
    desc(X::close_range, &[uint("fd"), uint("max_fd"), fl("flags", &fi::CLOSE_RANGE)])
        .does(Effect::CloseRange),
    // O_NOFOLLOW stands in the struct: see `PathUse::follows`.
    both(
        X::openat2,
        &[
            dirfd("dfd"),
            at("filename", Some(0), Role::Open(OpenFlags::InStruct(2)), Follow::Always),
            input("how", by(3), &OPEN_HOW),
            size("usize"),
        ],
    )
    .returns(Ret::Fd)
    .changes(),
    process(X::pidfd_getfd, &[fd("pidfd"), int("fd"), hex("flags")])
        .returns(Ret::Fd)
        .does(Effect::Fetch { process: 0, fd: 1 })
        .groups(D),
    both(
        X::faccessat2,
        &[
            dirfd("dfd"),
            lpath_at("filename", 0, 3),
            fl("mode", &ff::ACCESS),
            fl("flags", &ff::FACCESSAT),
        ],
    ),
    mem(
        X::process_madvise,
        &[
            fd("pidfd"),
            input("vec", each(2, &IOVEC), &IOVEC),
            size("vlen"),
            fl("behavior", &fp::MADV),
            hex("flags"),
        ],
    )
    .returns(Ret::Host)
    .groups(D),
    wait(
        X::epoll_pwait2,
        &[
            fd("epfd"),
            output("events", ret_each(2, &EPOLL_EVENT), &EPOLL_EVENT),
            int("maxevents"),
            ins("timeout", &TIMESPEC),
            input("sigmask", by(5), &SIGSET),
            size("sigsetsize"),
        ],
    )
    .returns(Ret::Int)
    .groups(D),
    mount(
        X::mount_setattr,
        &[
            dirfd("dfd"),
            lpath_at("path", 0, 2),
            fl("flags", &ff::AT),
            input("uattr", by(4), &MOUNT_ATTR),
            size("usize"),
        ],
    )
    .groups(DF),
    mount(X::quotactl_fd, &[fd("fd"), fl("cmd", &ff::QUOTA), uint("id"), addr("addr")])
        .masked(!0xff)
        .variants(1, QUOTA_FD)
        .groups(D),
    system(
        X::landlock_create_ruleset,
        &[input("attr", by(1), &OPAQUE), size("size"), hex("flags")],
    )
    .returns(Ret::Host)
    .groups(D),
    system(
        X::landlock_add_rule,
        &[
            fd("ruleset_fd"),
            int("rule_type"),
            input("rule_attr", Len::Fixed(16), &HOST),
            hex("flags"),
        ],
    )
    .groups(D),
    system(X::landlock_restrict_self, &[fd("ruleset_fd"), hex("flags")]).groups(D),
    mem(X::memfd_secret, &[fl("flags", &fi::NEW_FD)]).returns(Ret::Fd).groups(D),
    process(X::process_mrelease, &[fd("pidfd"), hex("flags")]).groups(D),
    wait(
        X::futex_waitv,
        &[
            input("waiters", each(1, &FUTEX_WAITV), &FUTEX_WAITV),
            uint("nr_futexes"),
            hex("flags"),
            ins("timeout", &TIMESPEC),
            fl("clockid", &fp::CLOCKS),
        ],
    )
    .returns(Ret::Host),
    mem(X::set_mempolicy_home_node, &[addr("start"), size("len"), uint("home_node"), hex("flags")]),
    desc(
        X::cachestat,
        &[fd("fd"), ins("cstat_range", &CACHESTAT_RANGE), outs("cstat", &CACHESTAT), hex("flags")],
    )
    .counted(IoClass::Stat),
    both(
        X::fchmodat2,
        &[dirfd("dfd"), lpath_at("filename", 0, 3), mode("mode"), fl("flags", &ff::AT)],
    )
    .changes(),
    mem(X::map_shadow_stack, &[addr("addr"), size("size"), hex("flags")]).returns(Ret::Addr),
    wait(X::futex_wake, &[addr("uaddr"), hex("mask"), int("nr"), hex("flags")]).returns(Ret::Host),
    wait(
        X::futex_wait,
        &[
            addr("uaddr"),
            hex("val"),
            hex("mask"),
            hex("flags"),
            ins("timeout", &TIMESPEC),
            fl("clockid", &fp::CLOCKS),
        ],
    )
    .returns(Ret::Host),
    wait(
        X::futex_requeue,
        &[
            input("waiters", Len::Fixed(48), &FUTEX_WAITV),
            hex("flags"),
            int("nr_wake"),
            int("nr_requeue"),
        ],
    )
    .returns(Ret::Host),
    mount(
        X::statmount,
        &[
            input("req", own_size(), &MNT_ID_REQ),
            output("buf", own_size(), &HOST),
            size("bufsize"),
            hex("flags"),
        ],
    ),
    mount(
        X::listmount,
        &[
            input("req", own_size(), &MNT_ID_REQ),
            output("mnt_ids", Len::Ret { max: Some(2), unit: 8 }, &HOST_U64S),
            size("nr_mnt_ids"),
            hex("flags"),
        ],
    )
    .returns(Ret::Host),
    system(
        X::lsm_get_self_attr,
        &[uint("attr"), output("ctx", deref(2), &HOST), inouts("size", &UINT), hex("flags")],
    )
    .returns(Ret::Host),
    system(
        X::lsm_set_self_attr,
        &[uint("attr"), input("ctx", by(2), &OPAQUE), size("size"), hex("flags")],
    ),
    system(
        X::lsm_list_modules,
        &[output("ids", deref(1), &HOST_U64S), inouts("size", &UINT), hex("flags")],
    )
    .returns(Ret::Host),
    mem(X::mseal, &[addr("start"), size("len"), hex("flags")]),
    both(
        X::setxattrat,
        &[
            dirfd("dfd"),
            lpath_at("pathname", 0, 2),
            fl("at_flags", &ff::AT),
            text("name"),
            input("uargs", by(5), &XATTR_ARGS),
            size("usize"),
        ],
    )
    .changes()
    .skipped(Class::System)
    .groups(XA),
    both(
        X::getxattrat,
        &[
            dirfd("dfd"),
            lpath_at("pathname", 0, 2),
            fl("at_flags", &ff::AT),
            text("name"),
            input("uargs", by(5), &XATTR_ARGS),
            size("usize"),
        ],
    )
    .returns(Ret::Count)
    .skipped(Class::System)
    .groups(XA),
    both(
        X::listxattrat,
        &[
            dirfd("dfd"),
            lpath_at("pathname", 0, 2),
            fl("at_flags", &ff::AT),
            output("list", ret(4), &NAMES),
            size("size"),
        ],
    )
    .returns(Ret::Count)
    .groups(XA),
    both(
        X::removexattrat,
        &[dirfd("dfd"), lpath_at("pathname", 0, 2), fl("at_flags", &ff::AT), text("name")],
    )
    .changes()
    .groups(XA),
    mount(
        X::open_tree_attr,
        &[
            dirfd("dfd"),
            lpath_at("filename", 0, 2),
            fl("flags", &ff::OPEN_TREE),
            input("uattr", by(4), &MOUNT_ATTR),
            size("usize"),
        ],
    )
    .returns(Ret::Fd)
    .does(Effect::OpenTree)
    .groups(DF),
    both(
        X::file_getattr,
        &[
            dirfd("dfd"),
            lpath_at("filename", 0, 4),
            output("ufattr", by(3), &FILE_ATTR),
            size("usize"),
            fl("at_flags", &ff::AT),
        ],
    )
    .skipped(Class::System),
    both(
        X::file_setattr,
        &[
            dirfd("dfd"),
            lpath_at("filename", 0, 4),
            input("ufattr", by(3), &FILE_ATTR),
            size("usize"),
            fl("at_flags", &ff::AT),
        ],
    )
    .changes()
    .skipped(Class::System),
];

/// What `creat(2)` implies: `O_CREAT | O_WRONLY | O_TRUNC`.
const CREAT: u32 = raw::O_CREAT | raw::O_WRONLY | raw::O_TRUNC;

const FD: Arg = fd("fd");
const CMD: Arg = fl("cmd", &fi::FCNTL);

static FCNTL: &[(u64, CallSpec)] = &[
    (
        raw::F_DUPFD as u64,
        var("F_DUPFD", &[FD, fl("cmd", &fi::FCNTL_DUP), int("arg")])
            .returns(Ret::Fd)
            .does(Effect::Dup { old: 0 }),
    ),
    // Of the descriptor's number, not of the file: which number replay uses, and what it does at
    // exec, is its own affair.
    (raw::F_GETFD as u64, var("F_GETFD", &[FD, CMD]).returns(Ret::Host)),
    (
        raw::F_SETFD as u64,
        var("F_SETFD", &[FD, CMD, fl("arg", &fi::FD_FLAGS)]).does(Effect::SetFdFlags),
    ),
    (raw::F_GETFL as u64, var("F_GETFL", &[FD, CMD]).returns(Ret::Int)),
    (
        raw::F_SETFL as u64,
        var("F_SETFL", &[FD, CMD, fl("arg", &ff::OPEN)]).does(Effect::SetStatusFlags),
    ),
    (
        raw::F_GETLK as u64,
        var("F_GETLK", &[FD, CMD, inouts("arg", &FLOCK_FOUND)]).counted(IoClass::Lock),
    ),
    (
        raw::F_SETLK as u64,
        var("F_SETLK", &[FD, CMD, ins("arg", &FLOCK)]).changes().counted(IoClass::Lock),
    ),
    (
        raw::F_SETLKW as u64,
        var("F_SETLKW", &[FD, CMD, ins("arg", &FLOCK)]).changes().counted(IoClass::Lock),
    ),
    (raw::F_SETOWN as u64, var("F_SETOWN", &[FD, CMD, pid("arg")]).skipped(Class::Signal)),
    (raw::F_GETOWN as u64, var("F_GETOWN", &[FD, CMD]).returns(Ret::Pid).skipped(Class::Signal)),
    (raw::F_SETSIG as u64, var("F_SETSIG", &[FD, CMD, sig("arg")]).skipped(Class::Signal)),
    (raw::F_GETSIG as u64, var("F_GETSIG", &[FD, CMD]).returns(Ret::Host).skipped(Class::Signal)),
    (
        raw::F_SETOWN_EX as u64,
        var("F_SETOWN_EX", &[FD, CMD, ins("arg", &F_OWNER)]).skipped(Class::Signal),
    ),
    (
        raw::F_GETOWN_EX as u64,
        var("F_GETOWN_EX", &[FD, CMD, outs("arg", &F_OWNER)]).skipped(Class::Signal),
    ),
    (
        raw::F_GETOWNER_UIDS as u64,
        var("F_GETOWNER_UIDS", &[FD, CMD, output("arg", Len::Fixed(8), &HOST_INTS)])
            .skipped(Class::Signal),
    ),
    (
        raw::F_OFD_GETLK as u64,
        var("F_OFD_GETLK", &[FD, CMD, inouts("arg", &FLOCK_FOUND)]).counted(IoClass::Lock),
    ),
    (
        raw::F_OFD_SETLK as u64,
        var("F_OFD_SETLK", &[FD, CMD, ins("arg", &FLOCK)]).changes().counted(IoClass::Lock),
    ),
    (
        raw::F_OFD_SETLKW as u64,
        var("F_OFD_SETLKW", &[FD, CMD, ins("arg", &FLOCK)]).changes().counted(IoClass::Lock),
    ),
    (
        raw::F_SETLEASE as u64,
        var("F_SETLEASE", &[FD, CMD, fl("arg", &fi::LOCK_TYPE)]).skipped(Class::Watch),
    ),
    (
        raw::F_GETLEASE as u64,
        var("F_GETLEASE", &[FD, CMD]).returns(Ret::Host).skipped(Class::Watch),
    ),
    (raw::F_NOTIFY as u64, var("F_NOTIFY", &[FD, CMD, hex("arg")]).skipped(Class::Watch)),
    (raw::F_DUPFD_QUERY as u64, var("F_DUPFD_QUERY", &[FD, CMD, fd("arg")]).returns(Ret::Int)),
    (raw::F_CREATED_QUERY as u64, var("F_CREATED_QUERY", &[FD, CMD]).returns(Ret::Int)),
    (
        raw::F_DUPFD_CLOEXEC as u64,
        var("F_DUPFD_CLOEXEC", &[FD, fl("cmd", &fi::FCNTL_DUP), int("arg")])
            .returns(Ret::Fd)
            .does(Effect::Dup { old: 0 }),
    ),
    (
        raw::F_SETPIPE_SZ as u64,
        var("F_SETPIPE_SZ", &[FD, CMD, size("arg")]).returns(Ret::Host).skipped(Class::Ipc),
    ),
    (
        raw::F_GETPIPE_SZ as u64,
        var("F_GETPIPE_SZ", &[FD, CMD]).returns(Ret::Host).skipped(Class::Ipc),
    ),
    (raw::F_ADD_SEALS as u64, var("F_ADD_SEALS", &[FD, CMD, fl("arg", &fi::SEALS)]).changes()),
    (raw::F_GET_SEALS as u64, var("F_GET_SEALS", &[FD, CMD]).returns(Ret::Int)),
    (raw::F_GET_RW_HINT as u64, var("F_GET_RW_HINT", &[FD, CMD, outs("arg", &U64)])),
    (raw::F_SET_RW_HINT as u64, var("F_SET_RW_HINT", &[FD, CMD, ins("arg", &U64)]).changes()),
    (raw::F_GET_FILE_RW_HINT as u64, var("F_GET_FILE_RW_HINT", &[FD, CMD, outs("arg", &HOST_U64)])),
    (raw::F_SET_FILE_RW_HINT as u64, var("F_SET_FILE_RW_HINT", &[FD, CMD, ins("arg", &U64)])),
];

const IOCMD: Arg = fl("cmd", &crate::flags::ioctl::REQUEST);
/// Describes an ioctl request that concerns the file system or device below, and whose result
/// differs between machines.
const fn host(name: &'static str, args: &'static [Arg]) -> CallSpec {
    CallSpec::new(name, args).skipped(Class::System).returns(Ret::Host)
}
/// Describes an ioctl request to a terminal, a pipe or another file that is not on disk.
const fn tty(name: &'static str, args: &'static [Arg]) -> CallSpec {
    CallSpec::new(name, args).skipped(Class::Ipc).returns(Ret::Host)
}
/// Describes an ioctl request on a namespace, which returns a descriptor.
const fn namespace(name: &'static str) -> CallSpec {
    CallSpec::new(name, &[FD, IOCMD]).skipped(Class::Mounts).returns(Ret::Fd)
}

static IOCTL: &[(u64, CallSpec)] = &[
    (
        ioctl::FICLONE as u64,
        CallSpec::new("FICLONE", &[FD, IOCMD, fd("arg")])
            .does(Effect::Clone { from: 2 })
            .changes()
            .copies(whole(2), whole(0), Len::Fixed(u32::MAX)),
    ),
    (
        ioctl::FICLONERANGE as u64,
        CallSpec::new("FICLONERANGE", &[FD, IOCMD, ins("arg", &CLONE_RANGE)])
            .does(Effect::Clone { from: 2 })
            .changes()
            .copies(
                told(2, 2, offset_of!(raw::file_clone_range, src_offset)),
                told(0, 2, offset_of!(raw::file_clone_range, dest_offset)),
                Len::Fixed(u32::MAX),
            ),
    ),
    // Changes no byte: both ranges hold the same before and after.
    (
        ioctl::FIDEDUPERANGE as u64,
        host(
            "FIDEDUPERANGE",
            &[FD, IOCMD, inout("arg", Len::Head { at: 16, base: 24, unit: 32 }, &HOST)],
        ),
    ),
    (
        ioctl::FIOCLEX as u64,
        CallSpec::new("FIOCLEX", &[FD, IOCMD]).does(Effect::Cloexec { on: true }),
    ),
    (
        ioctl::FIONCLEX as u64,
        CallSpec::new("FIONCLEX", &[FD, IOCMD]).does(Effect::Cloexec { on: false }),
    ),
    (ioctl::FIONREAD as u64, CallSpec::new("FIONREAD", &[FD, IOCMD, outs("arg", &INT)])),
    (
        ioctl::FIONBIO as u64,
        CallSpec::new("FIONBIO", &[FD, IOCMD, ins("arg", &INT)]).does(Effect::SetNonblocking),
    ),
    (ioctl::FIOASYNC as u64, tty("FIOASYNC", &[FD, IOCMD, ins("arg", &INT)])),
    (ioctl::FIOQSIZE as u64, host("FIOQSIZE", &[FD, IOCMD, outs("arg", &HOST_U64)])),
    (ioctl::FIGETBSZ as u64, host("FIGETBSZ", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::FIBMAP as u64, host("FIBMAP", &[FD, IOCMD, inouts("arg", &HOST_INT)])),
    (ioctl::FIFREEZE as u64, host("FIFREEZE", &[FD, IOCMD])),
    (ioctl::FITHAW as u64, host("FITHAW", &[FD, IOCMD])),
    (ioctl::FITRIM as u64, host("FITRIM", &[FD, IOCMD, inouts("arg", &FSTRIM_RANGE)])),
    (ioctl::FS_IOC_GETFLAGS as u64, host("FS_IOC_GETFLAGS", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (
        ioctl::FS_IOC_SETFLAGS as u64,
        host("FS_IOC_SETFLAGS", &[FD, IOCMD, ins("arg", &HOST_INT)]).changes(),
    ),
    (
        ioctl::FS_IOC_GETVERSION as u64,
        host("FS_IOC_GETVERSION", &[FD, IOCMD, outs("arg", &HOST_INT)]),
    ),
    (
        ioctl::FS_IOC_SETVERSION as u64,
        host("FS_IOC_SETVERSION", &[FD, IOCMD, ins("arg", &HOST_INT)]),
    ),
    (
        ioctl::FS_IOC_FIEMAP as u64,
        host(
            "FS_IOC_FIEMAP",
            &[FD, IOCMD, inout("arg", Len::Head { at: 24, base: 32, unit: 56 }, &HOST)],
        ),
    ),
    (
        ioctl::FS_IOC_FSGETXATTR as u64,
        host("FS_IOC_FSGETXATTR", &[FD, IOCMD, outs("arg", &FSXATTR)]),
    ),
    (
        ioctl::FS_IOC_FSSETXATTR as u64,
        host("FS_IOC_FSSETXATTR", &[FD, IOCMD, ins("arg", &FSXATTR)]).changes(),
    ),
    (
        ioctl::FS_IOC_GETFSLABEL as u64,
        host("FS_IOC_GETFSLABEL", &[FD, IOCMD, output("arg", Len::Fixed(256), &HOST)]),
    ),
    (ioctl::FS_IOC_SETFSLABEL as u64, host("FS_IOC_SETFSLABEL", &[FD, IOCMD, text("arg")])),
    (0x8011_1500, host("FS_IOC_GETFSUUID", &[FD, IOCMD, output("arg", Len::Fixed(17), &HOST)])),
    (ioctl::BLKROSET as u64, host("BLKROSET", &[FD, IOCMD, ins("arg", &INT)])),
    (ioctl::BLKROGET as u64, host("BLKROGET", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::BLKRRPART as u64, host("BLKRRPART", &[FD, IOCMD])),
    (ioctl::BLKGETSIZE as u64, host("BLKGETSIZE", &[FD, IOCMD, outs("arg", &HOST_U64)])),
    (ioctl::BLKFLSBUF as u64, host("BLKFLSBUF", &[FD, IOCMD])),
    (ioctl::BLKRASET as u64, host("BLKRASET", &[FD, IOCMD, uint("arg")])),
    (ioctl::BLKRAGET as u64, host("BLKRAGET", &[FD, IOCMD, outs("arg", &HOST_U64)])),
    (ioctl::BLKSSZGET as u64, host("BLKSSZGET", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::BLKBSZGET as u64, host("BLKBSZGET", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::BLKBSZSET as u64, host("BLKBSZSET", &[FD, IOCMD, ins("arg", &HOST_INT)])),
    (ioctl::BLKGETSIZE64 as u64, host("BLKGETSIZE64", &[FD, IOCMD, outs("arg", &HOST_U64)])),
    (
        ioctl::BLKDISCARD as u64,
        host("BLKDISCARD", &[FD, IOCMD, input("arg", Len::Fixed(16), &HOST_U64S)]).changes(),
    ),
    (ioctl::BLKIOMIN as u64, host("BLKIOMIN", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::BLKIOOPT as u64, host("BLKIOOPT", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::BLKALIGNOFF as u64, host("BLKALIGNOFF", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::BLKPBSZGET as u64, host("BLKPBSZGET", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (
        ioctl::BLKDISCARDZEROES as u64,
        host("BLKDISCARDZEROES", &[FD, IOCMD, outs("arg", &HOST_INT)]),
    ),
    (
        ioctl::BLKSECDISCARD as u64,
        host("BLKSECDISCARD", &[FD, IOCMD, input("arg", Len::Fixed(16), &HOST_U64S)]).changes(),
    ),
    (
        ioctl::BLKROTATIONAL as u64,
        host("BLKROTATIONAL", &[FD, IOCMD, output("arg", Len::Fixed(2), &HOST)]),
    ),
    (
        ioctl::BLKZEROOUT as u64,
        host("BLKZEROOUT", &[FD, IOCMD, input("arg", Len::Fixed(16), &HOST_U64S)]).changes(),
    ),
    (ioctl::TCGETS as u64, tty("TCGETS", &[FD, IOCMD, outs("arg", &TERMIOS)])),
    (ioctl::TCSETS as u64, tty("TCSETS", &[FD, IOCMD, ins("arg", &TERMIOS)])),
    (ioctl::TCSETSW as u64, tty("TCSETSW", &[FD, IOCMD, ins("arg", &TERMIOS)])),
    (ioctl::TCSETSF as u64, tty("TCSETSF", &[FD, IOCMD, ins("arg", &TERMIOS)])),
    (ioctl::TCGETS2 as u64, tty("TCGETS2", &[FD, IOCMD, outs("arg", &TERMIOS2)])),
    (ioctl::TCSETS2 as u64, tty("TCSETS2", &[FD, IOCMD, ins("arg", &TERMIOS2)])),
    (ioctl::TCSETSW2 as u64, tty("TCSETSW2", &[FD, IOCMD, ins("arg", &TERMIOS2)])),
    (ioctl::TCSETSF2 as u64, tty("TCSETSF2", &[FD, IOCMD, ins("arg", &TERMIOS2)])),
    (ioctl::TCSBRK as u64, tty("TCSBRK", &[FD, IOCMD, int("arg")])),
    (ioctl::TCXONC as u64, tty("TCXONC", &[FD, IOCMD, int("arg")])),
    (ioctl::TCFLSH as u64, tty("TCFLSH", &[FD, IOCMD, int("arg")])),
    (ioctl::TIOCEXCL as u64, tty("TIOCEXCL", &[FD, IOCMD])),
    (ioctl::TIOCSCTTY as u64, tty("TIOCSCTTY", &[FD, IOCMD, int("arg")])),
    (ioctl::TIOCNOTTY as u64, tty("TIOCNOTTY", &[FD, IOCMD])),
    (ioctl::TIOCGPGRP as u64, tty("TIOCGPGRP", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::TIOCSPGRP as u64, tty("TIOCSPGRP", &[FD, IOCMD, ins("arg", &HOST_INT)])),
    (ioctl::TIOCGSID as u64, tty("TIOCGSID", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::TIOCOUTQ as u64, tty("TIOCOUTQ", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::TIOCGWINSZ as u64, tty("TIOCGWINSZ", &[FD, IOCMD, outs("arg", &WINSIZE)])),
    (ioctl::TIOCSWINSZ as u64, tty("TIOCSWINSZ", &[FD, IOCMD, ins("arg", &WINSIZE)])),
    (ioctl::TIOCGPTN as u64, tty("TIOCGPTN", &[FD, IOCMD, outs("arg", &HOST_INT)])),
    (ioctl::TIOCSPTLCK as u64, tty("TIOCSPTLCK", &[FD, IOCMD, ins("arg", &HOST_INT)])),
    (
        ioctl::TIOCGPTPEER as u64,
        CallSpec::new("TIOCGPTPEER", &[FD, IOCMD, fl("arg", &ff::OPEN)])
            .skipped(Class::Ipc)
            .returns(Ret::Fd),
    ),
    (ioctl::NS_GET_USERNS as u64, namespace("NS_GET_USERNS")),
    (ioctl::NS_GET_PARENT as u64, namespace("NS_GET_PARENT")),
];

const fn prctl(name: &'static str, args: &'static [Arg]) -> CallSpec {
    CallSpec::new(name, args).skipped(Class::Process).returns(Ret::Host)
}
const OPTION: Arg = fl("option", &fp::PRCTL);

static PRCTL: &[(u64, CallSpec)] = &[
    (1, prctl("PR_SET_PDEATHSIG", &[OPTION, sig("arg2")])),
    (2, prctl("PR_GET_PDEATHSIG", &[OPTION, outs("arg2", &HOST_INT)])),
    (3, prctl("PR_GET_DUMPABLE", &[OPTION])),
    (4, prctl("PR_SET_DUMPABLE", &[OPTION, int("arg2")])),
    (15, prctl("PR_SET_NAME", &[OPTION, text("arg2")])),
    (16, prctl("PR_GET_NAME", &[OPTION, output("arg2", Len::Fixed(16), &HOST)])),
    (21, prctl("PR_GET_SECCOMP", &[OPTION])),
    (22, prctl("PR_SET_SECCOMP", &[OPTION, int("arg2"), input("arg3", Len::Fixed(16), &HOST)])),
    (23, prctl("PR_CAPBSET_READ", &[OPTION, int("arg2")])),
    (24, prctl("PR_CAPBSET_DROP", &[OPTION, int("arg2")])),
    (36, prctl("PR_SET_CHILD_SUBREAPER", &[OPTION, int("arg2")])),
    (37, prctl("PR_GET_CHILD_SUBREAPER", &[OPTION, outs("arg2", &HOST_INT)])),
    (
        38,
        prctl("PR_SET_NO_NEW_PRIVS", &[OPTION, int("arg2"), int("arg3"), int("arg4"), int("arg5")]),
    ),
    (
        39,
        prctl("PR_GET_NO_NEW_PRIVS", &[OPTION, int("arg2"), int("arg3"), int("arg4"), int("arg5")]),
    ),
    (40, prctl("PR_GET_TID_ADDRESS", &[OPTION, outs("arg2", &HOST_U64)])),
    (
        libc::PR_SET_VMA as u64,
        prctl("PR_SET_VMA", &[OPTION, int("arg2"), addr("arg3"), size("arg4"), text("arg5")]),
    ),
];

const fn arch_prctl(name: &'static str, args: &'static [Arg]) -> CallSpec {
    CallSpec::new(name, args).skipped(Class::Process)
}
const ARCH_OPTION: Arg = fl("option", &fp::ARCH_PRCTL);

static ARCH_PRCTL: &[(u64, CallSpec)] = &[
    (0x1003, arch_prctl("ARCH_GET_FS", &[ARCH_OPTION, outs("arg2", &HOST_U64)])),
    (0x1004, arch_prctl("ARCH_GET_GS", &[ARCH_OPTION, outs("arg2", &HOST_U64)])),
];

static FUTEX_WAIT: &[Arg] =
    &[addr("uaddr"), fl("op", &fp::FUTEX), uint("val"), ins("utime", &TIMESPEC)];
static FUTEX_WAIT_FOR: &[Arg] = &[
    addr("uaddr"),
    fl("op", &fp::FUTEX),
    uint("val"),
    ins("utime", &TIMESPEC),
    addr("uaddr2"),
    hex("val3"),
];
static FUTEX_WAKE: &[Arg] = &[addr("uaddr"), fl("op", &fp::FUTEX), uint("val")];
static FUTEX_LOCK: &[Arg] =
    &[addr("uaddr"), fl("op", &fp::FUTEX), unused("val"), ins("utime", &TIMESPEC)];
static FUTEX_UNLOCK: &[Arg] = &[addr("uaddr"), fl("op", &fp::FUTEX)];

const fn futex(name: &'static str, args: &'static [Arg]) -> CallSpec {
    CallSpec::new(name, args).skipped(Class::Wait).returns(Ret::Host)
}

/// The operations whose fourth argument is a time or that take fewer; the others take a number
/// there.
static FUTEX: &[(u64, CallSpec)] = &[
    (0, futex("FUTEX_WAIT", FUTEX_WAIT)),
    (1, futex("FUTEX_WAKE", FUTEX_WAKE)),
    (6, futex("FUTEX_LOCK_PI", FUTEX_LOCK)),
    (7, futex("FUTEX_UNLOCK_PI", FUTEX_UNLOCK)),
    (8, futex("FUTEX_TRYLOCK_PI", FUTEX_UNLOCK)),
    (9, futex("FUTEX_WAIT_BITSET", FUTEX_WAIT_FOR)),
    (11, futex("FUTEX_WAIT_REQUEUE_PI", FUTEX_WAIT_FOR)),
    (13, futex("FUTEX_LOCK_PI2", FUTEX_LOCK)),
];

const fn quota(name: &'static str, args: &'static [Arg]) -> CallSpec {
    CallSpec::new(name, args).skipped(Class::Mounts)
}
const QCMD: Arg = fl("cmd", &ff::QUOTA);
const SPECIAL: Arg = path("special");

static QUOTA: &[(u64, CallSpec)] = &[
    (0x8000_0200, quota("Q_QUOTAON", &[QCMD, SPECIAL, uint("id"), path("addr")])),
    (0x8000_0400, quota("Q_GETFMT", &[QCMD, SPECIAL, uint("id"), outs("addr", &HOST_INT)])),
    (0x8000_0500, quota("Q_GETINFO", &[QCMD, SPECIAL, uint("id"), outs("addr", &DQINFO)])),
    (0x8000_0600, quota("Q_SETINFO", &[QCMD, SPECIAL, uint("id"), ins("addr", &DQINFO)])),
    (0x8000_0700, quota("Q_GETQUOTA", &[QCMD, SPECIAL, uint("id"), outs("addr", &DQBLK)])),
    (0x8000_0800, quota("Q_SETQUOTA", &[QCMD, SPECIAL, uint("id"), ins("addr", &DQBLK)])),
    (0x8000_0900, quota("Q_GETNEXTQUOTA", &[QCMD, SPECIAL, uint("id"), outs("addr", &NEXTDQBLK)])),
];
static QUOTA_FD: &[(u64, CallSpec)] = &[
    (0x8000_0400, quota("Q_GETFMT", &[FD, QCMD, uint("id"), outs("addr", &HOST_INT)])),
    (0x8000_0500, quota("Q_GETINFO", &[FD, QCMD, uint("id"), outs("addr", &DQINFO)])),
    (0x8000_0600, quota("Q_SETINFO", &[FD, QCMD, uint("id"), ins("addr", &DQINFO)])),
    (0x8000_0700, quota("Q_GETQUOTA", &[FD, QCMD, uint("id"), outs("addr", &DQBLK)])),
    (0x8000_0800, quota("Q_SETQUOTA", &[FD, QCMD, uint("id"), ins("addr", &DQBLK)])),
    (0x8000_0900, quota("Q_GETNEXTQUOTA", &[FD, QCMD, uint("id"), outs("addr", &NEXTDQBLK)])),
];

static BPF_ARGS: &[Arg] = &[fl("cmd", &fp::BPF), input("uattr", by(2), &OPAQUE), size("size")];

const fn bpf(name: &'static str) -> CallSpec {
    CallSpec::new(name, BPF_ARGS).skipped(Class::System).returns(Ret::Fd)
}

/// The commands that return a descriptor.
static BPF: &[(u64, CallSpec)] = &[
    (0, bpf("BPF_MAP_CREATE")),
    (5, bpf("BPF_PROG_LOAD")),
    (7, bpf("BPF_OBJ_GET")),
    (13, bpf("BPF_PROG_GET_FD_BY_ID")),
    (14, bpf("BPF_MAP_GET_FD_BY_ID")),
    (17, bpf("BPF_RAW_TRACEPOINT_OPEN")),
    (18, bpf("BPF_BTF_LOAD")),
    (19, bpf("BPF_BTF_GET_FD_BY_ID")),
    (28, bpf("BPF_LINK_CREATE")),
    (30, bpf("BPF_LINK_GET_FD_BY_ID")),
    (32, bpf("BPF_ENABLE_STATS")),
    (33, bpf("BPF_ITER_CREATE")),
    (36, bpf("BPF_TOKEN_CREATE")),
];

const fn register(name: &'static str, args: &'static [Arg]) -> CallSpec {
    CallSpec::new(name, args).skipped(Class::Async).returns(Ret::Host)
}
const OPCODE: Arg = uint("opcode");

static URING_REGISTER: &[(u64, CallSpec)] = &[
    (
        0,
        register(
            "IORING_REGISTER_BUFFERS",
            &[FD, OPCODE, input("arg", each(3, &IOVEC), &IOVEC), uint("nr_args")],
        ),
    ),
    (1, register("IORING_UNREGISTER_BUFFERS", &[FD, OPCODE])),
    (
        2,
        register(
            "IORING_REGISTER_FILES",
            &[FD, OPCODE, input("arg", Len::Arg { n: 3, unit: 4 }, &FDS), uint("nr_args")],
        )
        .does(Effect::RegisterFiles),
    ),
    (3, register("IORING_UNREGISTER_FILES", &[FD, OPCODE]).does(Effect::RegisterFiles)),
    (
        4,
        register(
            "IORING_REGISTER_EVENTFD",
            &[FD, OPCODE, input("arg", Len::Fixed(4), &FDS), uint("nr_args")],
        ),
    ),
    (5, register("IORING_UNREGISTER_EVENTFD", &[FD, OPCODE])),
    (9, register("IORING_REGISTER_PERSONALITY", &[FD, OPCODE])),
];

const fn config(name: &'static str, args: &'static [Arg]) -> CallSpec {
    CallSpec::new(name, args).skipped(Class::Mounts).does(Effect::Configure)
}
const FSCMD: Arg = fl("cmd", &ff::FSCONFIG);

static FSCONFIG: &[(u64, CallSpec)] = &[
    (1, config("FSCONFIG_SET_STRING", &[FD, FSCMD, text("_key"), text("_value"), int("aux")])),
    (
        2,
        config(
            "FSCONFIG_SET_BINARY",
            &[FD, FSCMD, text("_key"), input("_value", by(4), &OPAQUE), int("aux")],
        ),
    ),
    (
        3,
        config("FSCONFIG_SET_PATH", &[FD, FSCMD, text("_key"), path_at("_value", 4), dirfd("aux")]),
    ),
    (
        4,
        config(
            "FSCONFIG_SET_PATH_EMPTY",
            &[FD, FSCMD, text("_key"), path_at("_value", 4), dirfd("aux")],
        ),
    ),
    (5, config("FSCONFIG_SET_FD", &[FD, FSCMD, text("_key"), unused("_value"), fd("aux")])),
];

const _: () = check::assert_valid(TABLE);
const _: () = check::assert_valid(OPERATION_TABLE);

/// Returns all rows, sorted by number.
pub fn table() -> &'static [Row] {
    TABLE
}

/// Returns the rows of operations that are not system calls, sorted by number.
pub fn operations() -> &'static [Row] {
    OPERATION_TABLE
}

/// Returns the rows of system calls, then those of other operations.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().chain(OPERATION_TABLE)
}

/// Returns the row of the call with this x86-64 number, or of the operation with this number
/// ([`OPERATIONS`] and above), or `None`.
pub fn by_number(number: u32) -> Option<&'static Row> {
    let (table, index) = match number.checked_sub(OPERATIONS) {
        None => (TABLE, number),
        Some(index) => (OPERATION_TABLE, index),
    };
    // Up to the first gap in the numbers, the index of a row is its number.
    match table.get(index as usize) {
        Some(row) if row.number == number => Some(row),
        _ => table.binary_search_by_key(&number, |r| r.number).ok().map(|i| &table[i]),
    }
}

/// Returns the row of the call with this name, or `None`.
pub fn by_name(name: &str) -> Option<&'static Row> {
    static NAMES: LazyLock<HashMap<&str, &Row>> =
        LazyLock::new(|| rows().map(|r| (r.name(), r)).collect());
    NAMES.get(name).copied()
}

/// Returns the spec of the call with this number and these arguments: that of the variant that the
/// arguments select, or the row's own. Returns `None` if the table has no such call.
pub fn spec(number: u32, args: &[u64; 6]) -> Option<&'static CallSpec> {
    by_number(number).map(|r| r.spec(args))
}
