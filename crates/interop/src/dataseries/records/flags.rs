//! Flags that records hold in fields of their own, beside the number that has them all.

use linux_raw_sys::general::*;
use linux_raw_sys::net::*;

macro_rules! bits {
    ($($number:literal: $($flag:ident $bit:ident),+;)+) => {
        &[$($((stringify!($flag), $number, $bit as u64)),+),+]
    };
}

/// The flag's field, the number's field, and the flag's bits in it.
const BITS: &[(&str, &str, u64)] = bits! {
    "open_value":
        flag_append O_APPEND, flag_async FASYNC, flag_close_on_exec O_CLOEXEC, flag_create O_CREAT,
        flag_direct O_DIRECT, flag_directory O_DIRECTORY, flag_exclusive O_EXCL,
        flag_largefile O_LARGEFILE, flag_no_access_time O_NOATIME,
        flag_no_controlling_terminal O_NOCTTY, flag_no_follow O_NOFOLLOW,
        flag_no_blocking_mode O_NONBLOCK, flag_no_delay O_NDELAY, flag_synchronous O_SYNC,
        flag_truncate O_TRUNC;
    "mode_value":
        mode_R_user S_IRUSR, mode_W_user S_IWUSR, mode_X_user S_IXUSR, mode_R_group S_IRGRP,
        mode_W_group S_IWGRP, mode_X_group S_IXGRP, mode_R_others S_IROTH, mode_W_others S_IWOTH,
        mode_X_others S_IXOTH, mode_uid S_ISUID, mode_gid S_ISGID, mode_sticky_bit S_ISVTX,
        mode_read R_OK, mode_write W_OK, mode_execute X_OK;
    "protection_value":
        protection_read PROT_READ, protection_write PROT_WRITE, protection_exec PROT_EXEC;
    "flags_value":
        flag_shared MAP_SHARED, flag_private MAP_PRIVATE, flag_fixed MAP_FIXED,
        flag_anonymous MAP_ANONYMOUS, flag_32bit MAP_32BIT, flag_grows_down MAP_GROWSDOWN,
        flag_denywrite MAP_DENYWRITE, flag_executable MAP_EXECUTABLE, flag_locked MAP_LOCKED,
        flag_no_reserve MAP_NORESERVE, flag_populate MAP_POPULATE, flag_non_block MAP_NONBLOCK,
        flag_stack MAP_STACK, flag_huge_tlb MAP_HUGETLB,
        flags_at_symlink_nofollow AT_SYMLINK_NOFOLLOW, flags_at_eaccess AT_EACCESS,
        flags_at_no_automount AT_NO_AUTOMOUNT, flags_at_empty_path AT_EMPTY_PATH,
        flag_oob MSG_OOB, flag_peek MSG_PEEK, flag_dontroute MSG_DONTROUTE, flag_trunc MSG_TRUNC,
        flag_dontwait MSG_DONTWAIT, flag_donwait MSG_DONTWAIT, flag_eor MSG_EOR,
        flag_waitall MSG_WAITALL, flag_confirm MSG_CONFIRM, flag_errqueue MSG_ERRQUEUE,
        flag_nosignal MSG_NOSIGNAL, flag_more MSG_MORE, flag_cmsg_cloexec MSG_CMSG_CLOEXEC;
    "flag_value":
        flag_at_symlink_nofollow AT_SYMLINK_NOFOLLOW, flag_symlink_nofollow AT_SYMLINK_NOFOLLOW,
        flag_remove_directory AT_REMOVEDIR, flag_symlink_follow AT_SYMLINK_FOLLOW,
        flag_empty_path AT_EMPTY_PATH, flag_xattr_create XATTR_CREATE,
        flag_xattr_replace XATTR_REPLACE, flag_vm CLONE_VM, flag_filesystem CLONE_FS,
        flag_files CLONE_FILES, flag_sighand CLONE_SIGHAND, flag_ptrace CLONE_PTRACE,
        flag_vfork CLONE_VFORK, flag_parent CLONE_PARENT, flag_thread CLONE_THREAD,
        flag_newns CLONE_NEWNS, flag_sysvsem CLONE_SYSVSEM, flag_settls CLONE_SETTLS,
        flag_parent_settid CLONE_PARENT_SETTID, flag_child_cleartid CLONE_CHILD_CLEARTID,
        flag_untraced CLONE_UNTRACED, flag_child_settid CLONE_CHILD_SETTID,
        flag_newuts CLONE_NEWUTS, flag_newipc CLONE_NEWIPC, flag_newuser CLONE_NEWUSER,
        flag_newpid CLONE_NEWPID, flag_newnet CLONE_NEWNET, flag_io CLONE_IO;
};

macro_rules! values {
    ($($number:literal & $mask:expr => $($flag:ident $value:expr),+;)+) => {
        &[$($((stringify!($flag), $number, $mask as u64, $value as u64)),+),+]
    };
}

/// The flag's field, the number's field, which bits of the number count, and what they are where
/// the flag is set.
const VALUES: &[(&str, &str, u64, u64)] = values! {
    "open_value" & O_ACCMODE =>
        flag_read_only O_RDONLY, flag_write_only O_WRONLY, flag_read_and_write O_RDWR;
    "mode_value" & R_OK | W_OK | X_OK => mode_exist F_OK;
    "protection_value" & PROT_READ | PROT_WRITE | PROT_EXEC => protection_none PROT_NONE;
    "flag_value" & CSIGNAL => signal_child SIGCHLD;
    "command_value" & u64::MAX =>
        command_dup F_DUPFD, command_get_descriptor_flags F_GETFD,
        command_set_descriptor_flags F_SETFD, command_get_status_flags F_GETFL,
        command_set_status_flags F_SETFL, command_get_lock F_GETLK, command_set_lock F_SETLK,
        command_set_lock_wait F_SETLKW, command_set_process_id F_SETOWN,
        command_get_process_id F_GETOWN, command_set_signal F_SETSIG, command_get_signal F_GETSIG,
        command_set_lease F_SETLEASE, command_get_lease F_GETLEASE, command_notify F_NOTIFY;
    "descriptor" & u64::MAX => descriptor_current_working_directory AT_FDCWD;
    "old_descriptor" & u64::MAX => old_descriptor_current_working_directory AT_FDCWD;
    "new_descriptor" & u64::MAX => new_descriptor_current_working_directory AT_FDCWD;
};

/// Returns whether the flag in field `flag` is set, given the numbers of the record. A flag that is
/// in no list here is not.
pub(crate) fn is_flag_set(flag: &str, number: impl Fn(&str) -> Option<i64>) -> bool {
    let has = |field: &str, mask: u64, wanted: u64| {
        number(field).is_some_and(|v| v.cast_unsigned() & mask == wanted)
    };
    BITS.iter().any(|(name, field, bits)| *name == flag && has(field, *bits, *bits))
        || VALUES
            .iter()
            .any(|(name, field, mask, wanted)| *name == flag && has(field, *mask, *wanted))
}
