//! Names that calls on sockets use.

use super::{Flags, names};
use linux_raw_sys::net;

/// Address families.
pub static FAMILY: Flags = Flags::one_of(
    "AF_",
    names![
        net: AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_CAN, AF_BLUETOOTH,
            AF_ALG, AF_VSOCK, AF_XDP
    ],
);
/// Socket types, with the flags that go with them.
pub static TYPE: Flags = Flags::bits("SOCK_", names![libc: SOCK_CLOEXEC, SOCK_NONBLOCK])
    .with_field(
        0xf,
        names![
            net: SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET;
            kernel: SOCK_DCCP = 6, SOCK_PACKET = 10
        ],
    )
    .with_cloexec(libc::SOCK_CLOEXEC as u64);
/// `accept4(2)`.
pub static ACCEPT: Flags = Flags::bits("SOCK_", names![libc: SOCK_CLOEXEC, SOCK_NONBLOCK])
    .with_cloexec(libc::SOCK_CLOEXEC as u64);
/// `send(2)` and `recv(2)`.
pub static MSG: Flags = Flags::bits(
    "MSG_",
    names![
        net: MSG_OOB, MSG_PEEK, MSG_DONTROUTE, MSG_CTRUNC, MSG_PROBE, MSG_TRUNC, MSG_DONTWAIT,
            MSG_EOR, MSG_WAITALL, MSG_FIN, MSG_SYN, MSG_CONFIRM, MSG_RST, MSG_ERRQUEUE,
            MSG_NOSIGNAL, MSG_MORE;
        libc: MSG_WAITFORONE;
        kernel: MSG_BATCH = 0x4_0000;
        libc: MSG_ZEROCOPY, MSG_FASTOPEN;
        net: MSG_CMSG_CLOEXEC
    ],
)
.with_cloexec(net::MSG_CMSG_CLOEXEC as u64);
/// `shutdown(2)`.
pub static SHUT: Flags = Flags::one_of(
    "SHUT_",
    names![
        net: SHUT_RD, SHUT_WR, SHUT_RDWR
    ],
);
/// Levels of socket options.
pub static LEVEL: Flags = Flags::one_of(
    "SOL_",
    names![
        net: SOL_SOCKET, SOL_IP, SOL_TCP, SOL_UDP, SOL_IPV6, SOL_ICMPV6, SOL_RAW, SOL_PACKET,
            SOL_NETLINK
    ],
);
