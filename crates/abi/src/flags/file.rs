//! Names that calls on files and directories use.

use super::{Flags, names};
use linux_raw_sys::general::{self, *};

/// `open(2)`.
pub static OPEN: Flags = Flags::bits(
    "O_",
    names![
        O_TMPFILE,
        O_SYNC,
        O_CREAT,
        O_EXCL,
        O_NOCTTY,
        O_TRUNC,
        O_APPEND,
        O_NONBLOCK,
        O_DSYNC,
        O_DIRECT,
        O_LARGEFILE,
        O_DIRECTORY,
        O_NOFOLLOW,
        O_NOATIME,
        O_CLOEXEC,
        O_PATH
    ],
)
.with_field(O_ACCMODE as u64, names![O_RDONLY, O_WRONLY, O_RDWR])
.with_cloexec(O_CLOEXEC as u64);
/// `openat2(2)`'s `resolve`.
pub static RESOLVE: Flags = Flags::bits(
    "RESOLVE_",
    names![
        RESOLVE_NO_XDEV,
        RESOLVE_NO_MAGICLINKS,
        RESOLVE_NO_SYMLINKS,
        RESOLVE_BENEATH,
        RESOLVE_IN_ROOT,
        RESOLVE_CACHED
    ],
);
/// The `AT_*` flags of most `*at` calls.
pub static AT: Flags = Flags::bits(
    "AT_",
    names![
        AT_SYMLINK_NOFOLLOW,
        AT_SYMLINK_FOLLOW,
        AT_NO_AUTOMOUNT,
        AT_EMPTY_PATH,
        AT_STATX_FORCE_SYNC,
        AT_STATX_DONT_SYNC,
        AT_RECURSIVE
    ],
);
/// `unlinkat(2)`.
pub static UNLINKAT: Flags = Flags::bits("AT_", names![AT_REMOVEDIR]);
/// `faccessat2(2)`.
pub static FACCESSAT: Flags =
    Flags::bits("AT_", names![AT_SYMLINK_NOFOLLOW, AT_EACCESS, AT_EMPTY_PATH]);
/// `name_to_handle_at(2)`.
pub static HANDLE: Flags = Flags::bits(
    "AT_",
    names![
        AT_HANDLE_MNT_ID_UNIQUE,
        AT_HANDLE_CONNECTABLE,
        AT_HANDLE_FID,
        AT_SYMLINK_FOLLOW,
        AT_EMPTY_PATH
    ],
);
/// `execveat(2)`.
pub static EXECVEAT: Flags =
    Flags::bits("AT_", names![AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EXECVE_CHECK]);
/// `access(2)`.
pub static ACCESS: Flags = Flags::bits(
    "",
    names![
        general: F_OK, R_OK, W_OK, X_OK
    ],
);
/// `renameat2(2)`.
pub static RENAME: Flags =
    Flags::bits("RENAME_", names![RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT]);
/// `statx(2)`'s mask.
pub static STATX_MASK: Flags = Flags::bits(
    "STATX_",
    names![
        STATX_ALL,
        STATX_BASIC_STATS,
        STATX_TYPE,
        STATX_MODE,
        STATX_NLINK,
        STATX_UID,
        STATX_GID,
        STATX_ATIME,
        STATX_MTIME,
        STATX_CTIME,
        STATX_INO,
        STATX_SIZE,
        STATX_BLOCKS,
        STATX_BTIME,
        STATX_MNT_ID,
        STATX_DIOALIGN,
        STATX_MNT_ID_UNIQUE,
        STATX_SUBVOL,
        STATX_WRITE_ATOMIC,
        STATX_DIO_READ_ALIGN
    ],
);
/// `setxattr(2)`.
pub static XATTR: Flags = Flags::bits("XATTR_", names![XATTR_CREATE, XATTR_REPLACE]);
/// `fallocate(2)`.
pub static FALLOC: Flags = Flags::bits(
    "FALLOC_FL_",
    names![
        FALLOC_FL_KEEP_SIZE,
        FALLOC_FL_PUNCH_HOLE,
        FALLOC_FL_NO_HIDE_STALE,
        FALLOC_FL_COLLAPSE_RANGE,
        FALLOC_FL_ZERO_RANGE,
        FALLOC_FL_INSERT_RANGE,
        FALLOC_FL_UNSHARE_RANGE,
        FALLOC_FL_WRITE_ZEROES
    ],
);
/// `mount(2)`.
pub static MOUNT: Flags = Flags::bits(
    "MS_",
    names![
        MS_RDONLY,
        MS_NOSUID,
        MS_NODEV,
        MS_NOEXEC,
        MS_SYNCHRONOUS,
        MS_REMOUNT,
        MS_MANDLOCK,
        MS_DIRSYNC,
        MS_NOSYMFOLLOW,
        MS_NOATIME,
        MS_NODIRATIME,
        MS_BIND,
        MS_MOVE,
        MS_REC,
        MS_SILENT,
        MS_POSIXACL,
        MS_UNBINDABLE,
        MS_PRIVATE,
        MS_SLAVE,
        MS_SHARED,
        MS_RELATIME,
        MS_I_VERSION,
        MS_STRICTATIME,
        MS_LAZYTIME
    ],
);
/// `umount2(2)`.
pub static UMOUNT: Flags =
    Flags::bits("MNT_", names![MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW]);
/// `move_mount(2)`.
pub static MOVE_MOUNT: Flags = Flags::bits(
    "MOVE_MOUNT_",
    names![
        MOVE_MOUNT_F_SYMLINKS,
        MOVE_MOUNT_F_AUTOMOUNTS,
        MOVE_MOUNT_F_EMPTY_PATH,
        MOVE_MOUNT_T_SYMLINKS,
        MOVE_MOUNT_T_AUTOMOUNTS,
        MOVE_MOUNT_T_EMPTY_PATH,
        MOVE_MOUNT_SET_GROUP,
        MOVE_MOUNT_BENEATH
    ],
);
/// `open_tree(2)`.
pub static OPEN_TREE: Flags = Flags::bits(
    "OPEN_TREE_",
    names![
        OPEN_TREE_CLONE,
        OPEN_TREE_CLOEXEC,
        AT_EMPTY_PATH,
        AT_NO_AUTOMOUNT,
        AT_RECURSIVE,
        AT_SYMLINK_NOFOLLOW
    ],
)
.with_cloexec(OPEN_TREE_CLOEXEC as u64);
/// `fsopen(2)`.
pub static FSOPEN: Flags =
    Flags::bits("FSOPEN_", names![FSOPEN_CLOEXEC]).with_cloexec(FSOPEN_CLOEXEC as u64);
/// `fsmount(2)`.
pub static FSMOUNT: Flags =
    Flags::bits("FSMOUNT_", names![FSMOUNT_CLOEXEC]).with_cloexec(FSMOUNT_CLOEXEC as u64);
/// `fspick(2)`.
pub static FSPICK: Flags = Flags::bits(
    "FSPICK_",
    names![FSPICK_CLOEXEC, FSPICK_SYMLINK_NOFOLLOW, FSPICK_NO_AUTOMOUNT, FSPICK_EMPTY_PATH],
)
.with_cloexec(FSPICK_CLOEXEC as u64);
/// `fsconfig(2)`'s commands.
pub static FSCONFIG: Flags = Flags::one_of(
    "FSCONFIG_",
    names![
        fsconfig_command: FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_SET_BINARY,
            FSCONFIG_SET_PATH, FSCONFIG_SET_PATH_EMPTY, FSCONFIG_SET_FD, FSCONFIG_CMD_CREATE,
            FSCONFIG_CMD_RECONFIGURE, FSCONFIG_CMD_CREATE_EXCL
    ],
);
/// `quotactl(2)`: command in the upper bits, quota type in the lowest byte.
pub static QUOTA: Flags = Flags::bits("Q_", &[]).with_field(
    0xffff_ffff,
    &[
        (0x8000_0100, "QCMD(Q_SYNC, USRQUOTA)"),
        (0x8000_0101, "QCMD(Q_SYNC, GRPQUOTA)"),
        (0x8000_0200, "QCMD(Q_QUOTAON, USRQUOTA)"),
        (0x8000_0201, "QCMD(Q_QUOTAON, GRPQUOTA)"),
        (0x8000_0300, "QCMD(Q_QUOTAOFF, USRQUOTA)"),
        (0x8000_0301, "QCMD(Q_QUOTAOFF, GRPQUOTA)"),
        (0x8000_0400, "QCMD(Q_GETFMT, USRQUOTA)"),
        (0x8000_0401, "QCMD(Q_GETFMT, GRPQUOTA)"),
        (0x8000_0500, "QCMD(Q_GETINFO, USRQUOTA)"),
        (0x8000_0501, "QCMD(Q_GETINFO, GRPQUOTA)"),
        (0x8000_0600, "QCMD(Q_SETINFO, USRQUOTA)"),
        (0x8000_0601, "QCMD(Q_SETINFO, GRPQUOTA)"),
        (0x8000_0700, "QCMD(Q_GETQUOTA, USRQUOTA)"),
        (0x8000_0701, "QCMD(Q_GETQUOTA, GRPQUOTA)"),
        (0x8000_0702, "QCMD(Q_GETQUOTA, PRJQUOTA)"),
        (0x8000_0800, "QCMD(Q_SETQUOTA, USRQUOTA)"),
        (0x8000_0801, "QCMD(Q_SETQUOTA, GRPQUOTA)"),
        (0x8000_0802, "QCMD(Q_SETQUOTA, PRJQUOTA)"),
        (0x8000_0900, "QCMD(Q_GETNEXTQUOTA, USRQUOTA)"),
        (0x8000_0901, "QCMD(Q_GETNEXTQUOTA, GRPQUOTA)"),
    ],
);
/// `mount_setattr(2)`'s attributes.
pub static MOUNT_ATTR: Flags = Flags::bits(
    "MOUNT_ATTR_",
    names![
        general: MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC,
            MOUNT_ATTR_NOATIME, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_IDMAP,
            MOUNT_ATTR_NOSYMFOLLOW
    ],
);
/// Extended file attributes (`fa_xflags`, `fsx_xflags`).
pub static XFLAGS: Flags = Flags::bits(
    "FS_XFLAG_",
    names![
        general: FS_XFLAG_REALTIME, FS_XFLAG_PREALLOC, FS_XFLAG_IMMUTABLE, FS_XFLAG_APPEND,
            FS_XFLAG_SYNC, FS_XFLAG_NOATIME, FS_XFLAG_NODUMP, FS_XFLAG_PROJINHERIT, FS_XFLAG_DAX,
            FS_XFLAG_COWEXTSIZE, FS_XFLAG_HASATTR
    ],
);

/// `statx.stx_attributes`.
pub static STATX_ATTR: Flags = Flags::bits(
    "STATX_ATTR_",
    names![
        STATX_ATTR_COMPRESSED,
        STATX_ATTR_IMMUTABLE,
        STATX_ATTR_APPEND,
        STATX_ATTR_NODUMP,
        STATX_ATTR_ENCRYPTED,
        STATX_ATTR_AUTOMOUNT,
        STATX_ATTR_MOUNT_ROOT,
        STATX_ATTR_VERITY,
        STATX_ATTR_DAX,
        STATX_ATTR_WRITE_ATOMIC
    ],
);
/// `statfs.f_type`, of the usual file systems (`include/uapi/linux/magic.h`).
pub static FS_TYPE: Flags = Flags::one_of(
    "SUPER_MAGIC",
    names![
        general: EXT2_SUPER_MAGIC, TMPFS_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC, XFS_SUPER_MAGIC,
            BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
            DEVPTS_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, NFS_SUPER_MAGIC, FUSE_SUPER_MAGIC
    ],
);
/// `statfs.f_flags`.
pub static STATFS: Flags = Flags::bits(
    "ST_",
    names![
        libc: ST_RDONLY, ST_NOSUID, ST_NODEV, ST_NOEXEC, ST_SYNCHRONOUS;
        kernel: ST_VALID = 0x20;
        libc: ST_MANDLOCK, ST_NOATIME, ST_NODIRATIME, ST_RELATIME;
        kernel: ST_NOSYMFOLLOW = 0x2000
    ],
);
