//! Structs of sockets.

use super::FieldKind::*;
use super::layout;
use crate::flags::net as names;
use linux_raw_sys::net as raw;

layout! {
    /// `struct msghdr`.
    MSGHDR = Struct "struct msghdr" raw::msghdr {
        msg_name: Addr, msg_namelen: Int, msg_iov: Addr, msg_iovlen: Uint, msg_control: Addr,
        msg_controllen: Uint, msg_flags: Flags(&names::MSG),
    }
}
layout! {
    /// `struct mmsghdr[]`.
    MMSGHDR = Array "struct mmsghdr" raw::mmsghdr {
        msg_hdr.msg_name: Addr, msg_hdr.msg_namelen: Int, msg_hdr.msg_iov: Addr,
        msg_hdr.msg_iovlen: Uint, msg_hdr.msg_control: Addr,
        msg_hdr.msg_controllen: Uint, msg_hdr.msg_flags: Flags(&names::MSG), msg_len: Uint,
    }
}
