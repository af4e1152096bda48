//! What of a struct is shown unless all is asked for: the fields that strace 6 shows without `-v`.
//! Structs that are not named here are shown whole, as strace shows them.

use super::field;
use crate::flags::file;
use crate::{Field, Flags, Layout};

/// Whether `f` of a struct with these bytes is shown.
pub(super) fn shows(layout: &Layout, f: &Field, bytes: &[u8], whole: bool) -> bool {
    let set = |name: &str| number(layout, name, bytes).is_some_and(|n| n != 0);
    if layout.name == "struct sigaction" {
        // Nothing looks at it without the flag that goes with it.
        return f.name != "sa_restorer" || set(f.name);
    }
    if whole {
        return true;
    }
    let mode = |name: &str| number(layout, name, bytes).unwrap_or(0) >> 12;
    let shown: &[&str] = match layout.name {
        "struct stat" if matches!(mode("st_mode"), 2 | 6) => &["st_mode", "st_rdev"],
        "struct stat" => &["st_mode", "st_size"],
        "struct statx" => &["stx_mask", "stx_attributes", "stx_mode", "stx_size"],
        "struct utsname" => &["sysname", "nodename"],
        "struct rusage" => {
            &["ru_utime.tv_sec", "ru_utime.tv_usec", "ru_stime.tv_sec", "ru_stime.tv_usec"]
        }
        "struct termios" | "struct termios2" => &["c_iflag", "c_oflag", "c_cflag", "c_lflag"],
        "struct if_dqblk" | "struct if_nextdqblk" => &[
            "dqb_bhardlimit",
            "dqb_bsoftlimit",
            "dqb_curspace",
            "dqb_ihardlimit",
            "dqb_isoftlimit",
            "dqb_curinodes",
            "dqb_id",
        ],
        _ => return true,
    };
    shown.contains(&f.name)
}

fn number(layout: &Layout, name: &str, bytes: &[u8]) -> Option<u64> {
    field(layout.fields.iter().find(|f| f.name == name)?, bytes)
}

/// The names of the values of a field that is never compared, and so has none of its own.
pub(super) fn names(field: &str) -> Option<&'static Flags> {
    Some(match field {
        "stx_mask" => &file::STATX_MASK,
        "stx_attributes" | "stx_attributes_mask" => &file::STATX_ATTR,
        "f_type" => &file::FS_TYPE,
        "f_flags" => &file::STATFS,
        "sa_handler" => &crate::flags::process::SIG_HANDLER,
        _ => return None,
    })
}
