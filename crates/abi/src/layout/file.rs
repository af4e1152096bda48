//! Structs that tell of files and file systems.

use super::FieldKind::*;
use super::{Brief, Field, Form, Layout, Style, layout};
use crate::flags::file as names;
use crate::flags::io::{LOCK_TYPE, WHENCE};
use linux_raw_sys::general as raw;

layout! {
    /// `struct stat`.
    STAT = Struct "struct stat" raw::stat {
        st_dev: Dev, st_ino: Ino, st_mode: Mode => brief, st_nlink: Links, st_uid: Uid, st_gid: Gid,
        st_rdev: Dev => shown(Brief::OfDevice), st_size: Size => shown(Brief::OfOthers),
        st_blksize: Host, st_blocks: Host,
        st_atime: Time, st_atime_nsec: Time, st_mtime: Time, st_mtime_nsec: Time, st_ctime: Time,
        st_ctime_nsec: Time,
    }
}
layout! {
    /// `struct statx`. Which fields beyond the basic ones are filled (`stx_mask`) is the file
    /// system's affair.
    STATX = Struct "struct statx" raw::statx {
        stx_mask: Host => brief names(&names::STATX_MASK), stx_blksize: Host,
        stx_attributes: Host => brief names(&names::STATX_ATTR), stx_nlink: Links, stx_uid: Uid,
        stx_gid: Gid, stx_mode: Mode => brief, stx_ino: Ino, stx_size: Size => brief,
        stx_blocks: Host, stx_attributes_mask: Host => names(&names::STATX_ATTR),
        stx_atime.tv_sec: Time, stx_atime.tv_nsec: Time, stx_btime.tv_sec: Time,
        stx_btime.tv_nsec: Time,
        stx_ctime.tv_sec: Time, stx_ctime.tv_nsec: Time, stx_mtime.tv_sec: Time,
        stx_mtime.tv_nsec: Time, stx_rdev_major: Dev, stx_rdev_minor: Dev,
        stx_dev_major: Dev, stx_dev_minor: Dev, stx_mnt_id: Host, stx_dio_mem_align: Host,
        stx_dio_offset_align: Host, stx_subvol: Host,
        stx_atomic_write_unit_min: Host, stx_atomic_write_unit_max: Host,
        stx_atomic_write_segments_max: Host, stx_dio_read_offset_align: Host,
        stx_atomic_write_unit_max_opt: Host,
    }
}
layout! {
    /// `struct statfs`.
    STATFS = Struct "struct statfs" raw::statfs {
        f_type: Host => names(&names::FS_TYPE), f_bsize: Host, f_blocks: Host, f_bfree: Host,
        f_bavail: Host, f_files: Host, f_ffree: Host, f_fsid: Host => style(Style::FsId),
        f_namelen: Host,
        f_frsize: Host, f_flags: Host => names(&names::STATFS),
    }
}
layout! {
    /// `struct open_how`.
    OPEN_HOW = Struct "struct open_how" raw::open_how {
        flags: Flags(&names::OPEN), mode: Mode, resolve: Flags(&names::RESOLVE),
    }
}
layout! {
    /// `struct flock` that asks for a lock.
    FLOCK = Struct "struct flock" raw::flock {
        l_type: Flags(&LOCK_TYPE), l_whence: Flags(&WHENCE), l_start: Int, l_len: Int, l_pid: Pid,
    }
}
layout! {
    /// `struct flock` that tells which lock is in the way: a matter of which other processes run.
    FLOCK_FOUND = Struct "struct flock" raw::flock {
        l_type: Host, l_whence: Host, l_start: Host, l_len: Host, l_pid: Pid,
    }
}
layout! {
    /// `struct f_owner_ex`.
    F_OWNER = Struct "struct f_owner_ex" raw::f_owner_ex { type_: Int, pid: Pid }
}
layout! {
    /// `struct file_clone_range`.
    CLONE_RANGE = Struct "struct file_clone_range" raw::file_clone_range {
        src_fd: Fd, src_offset: Uint, src_length: Uint, dest_offset: Uint,
    }
}
layout! {
    /// `struct file_attr`.
    FILE_ATTR = Struct "struct file_attr" raw::file_attr {
        fa_xflags: Host, fa_extsize: Host, fa_nextents: Host, fa_projid: Host, fa_cowextsize: Host,
    }
}
layout! {
    /// `struct fsxattr`.
    FSXATTR = Struct "struct fsxattr" raw::fsxattr {
        fsx_xflags: Host, fsx_extsize: Host, fsx_nextents: Host, fsx_projid: Host,
        fsx_cowextsize: Host,
    }
}
layout! {
    /// `struct xattr_args`: where an attribute's value stands.
    XATTR_ARGS = Struct "struct xattr_args" raw::xattr_args {
        value: Addr, size: Uint, flags: Flags(&names::XATTR),
    }
}
layout! {
    /// `struct mount_attr`.
    MOUNT_ATTR = Struct "struct mount_attr" raw::mount_attr {
        attr_set: Flags(&names::MOUNT_ATTR), attr_clr: Flags(&names::MOUNT_ATTR),
        propagation: Flags(&names::MOUNT), userns_fd: Fd,
    }
}
layout! {
    /// `struct mnt_id_req`.
    MNT_ID_REQ = Struct "struct mnt_id_req" raw::mnt_id_req {
        size: Uint, mnt_id: Host, param: Host,
    }
}
layout! {
    /// `struct cachestat_range`.
    CACHESTAT_RANGE = Struct "struct cachestat_range" raw::cachestat_range { off: Uint, len: Uint }
}
layout! {
    /// `struct cachestat`.
    CACHESTAT = Struct "struct cachestat" raw::cachestat {
        nr_cache: Host, nr_dirty: Host, nr_writeback: Host, nr_evicted: Host,
        nr_recently_evicted: Host,
    }
}
layout! {
    /// `struct fstrim_range`.
    FSTRIM_RANGE = Struct "struct fstrim_range" raw::fstrim_range {
        start: Uint, len: Host, minlen: Uint,
    }
}

/// `struct utimbuf`: two times in seconds.
pub static UTIMBUF: Layout = Layout {
    name: "struct utimbuf",
    size: 16,
    form: Form::Struct,
    fields: &[Field::new("actime", 0, 8, Time), Field::new("modtime", 8, 8, Time)],
};
/// `struct ustat`: space on a device.
pub static USTAT: Layout = Layout {
    name: "struct ustat",
    size: 32,
    form: Form::Struct,
    fields: &[Field::new("f_tfree", 0, 4, Host), Field::new("f_tinode", 8, 8, Host)],
};
/// `struct if_dqblk`: limits and use of a quota.
pub static DQBLK: Layout = Layout {
    name: "struct if_dqblk",
    size: 72,
    form: Form::Struct,
    fields: &[
        Field::new("dqb_bhardlimit", 0, 8, Host).brief(),
        Field::new("dqb_bsoftlimit", 8, 8, Host).brief(),
        Field::new("dqb_curspace", 16, 8, Host).brief(),
        Field::new("dqb_ihardlimit", 24, 8, Host).brief(),
        Field::new("dqb_isoftlimit", 32, 8, Host).brief(),
        Field::new("dqb_curinodes", 40, 8, Host).brief(),
        Field::new("dqb_btime", 48, 8, Time),
        Field::new("dqb_itime", 56, 8, Time),
        Field::new("dqb_valid", 64, 4, Host),
    ],
};
/// `struct if_nextdqblk`: the same, and whose.
pub static NEXTDQBLK: Layout = Layout {
    name: "struct if_nextdqblk",
    size: 72,
    form: Form::Struct,
    fields: &[
        Field::new("dqb_bhardlimit", 0, 8, Host).brief(),
        Field::new("dqb_bsoftlimit", 8, 8, Host).brief(),
        Field::new("dqb_curspace", 16, 8, Host).brief(),
        Field::new("dqb_ihardlimit", 24, 8, Host).brief(),
        Field::new("dqb_isoftlimit", 32, 8, Host).brief(),
        Field::new("dqb_curinodes", 40, 8, Host).brief(),
        Field::new("dqb_btime", 48, 8, Time),
        Field::new("dqb_itime", 56, 8, Time),
        Field::new("dqb_valid", 64, 4, Host),
        Field::new("dqb_id", 68, 4, Uint).brief(),
    ],
};
/// `struct if_dqinfo`: grace times of quotas.
pub static DQINFO: Layout = Layout {
    name: "struct if_dqinfo",
    size: 24,
    form: Form::Struct,
    fields: &[
        Field::new("dqi_bgrace", 0, 8, Host),
        Field::new("dqi_igrace", 8, 8, Host),
        Field::new("dqi_flags", 16, 4, Host),
        Field::new("dqi_valid", 20, 4, Host),
    ],
};
