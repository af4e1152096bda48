//! Requests of `ioctl(2)`: those that the table has variants for.

use super::{Flags, names};
use linux_raw_sys::ioctl::{self, *};

/// Requests that `linux-raw-sys` names.
const NAMED: &[(u64, &str)] = names![
    FICLONE,
    FICLONERANGE,
    FIDEDUPERANGE,
    FIOCLEX,
    FIONCLEX,
    FIONREAD,
    FIONBIO,
    FIOASYNC,
    FIOQSIZE,
    FIGETBSZ,
    FIBMAP,
    FIFREEZE,
    FITHAW,
    FITRIM,
    FS_IOC_GETFLAGS,
    FS_IOC_SETFLAGS,
    FS_IOC_GETVERSION,
    FS_IOC_SETVERSION,
    FS_IOC_FIEMAP,
    FS_IOC_FSGETXATTR,
    FS_IOC_FSSETXATTR,
    FS_IOC_GETFSLABEL,
    FS_IOC_SETFSLABEL,
    BLKROSET,
    BLKROGET,
    BLKRRPART,
    BLKGETSIZE,
    BLKFLSBUF,
    BLKRASET,
    BLKRAGET,
    BLKSSZGET,
    BLKBSZGET,
    BLKBSZSET,
    BLKGETSIZE64,
    BLKDISCARD,
    BLKIOMIN,
    BLKIOOPT,
    BLKALIGNOFF,
    BLKPBSZGET,
    BLKDISCARDZEROES,
    BLKSECDISCARD,
    BLKROTATIONAL,
    BLKZEROOUT,
    TCGETS,
    TCSETS,
    TCSETSW,
    TCSETSF,
    TCSBRK,
    TCXONC,
    TCFLSH,
    TIOCEXCL,
    TIOCSCTTY,
    TIOCNOTTY,
    TIOCGPGRP,
    TIOCSPGRP,
    TIOCGSID,
    TIOCOUTQ,
    TIOCGWINSZ,
    TIOCSWINSZ,
    TIOCGPTN,
    TIOCSPTLCK,
    TIOCGPTPEER
];
/// The others, from `include/uapi`.
const OTHERS: &[(u64, &str)] = names![
    kernel: FS_IOC_GETFSUUID = 0x8011_1500;
    ioctl: TCGETS2, TCSETS2, TCSETSW2, TCSETSF2, NS_GET_USERNS, NS_GET_PARENT
];
static ALL: [(u64, &str); NAMED.len() + OTHERS.len()] = {
    let mut all = [(0, ""); NAMED.len() + OTHERS.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < NAMED.len() { NAMED[i] } else { OTHERS[i - NAMED.len()] };
        i += 1;
    }
    all
};
/// A request.
pub static REQUEST: Flags = Flags::one_of("ioctl", &ALL);
