//! Names that calls on sockets use.

use super::Flags;

/// Address families.
pub static FAMILY: Flags = Flags::one_of(
    "AF_",
    &[
        (0, "AF_UNSPEC"),
        (1, "AF_UNIX"),
        (2, "AF_INET"),
        (10, "AF_INET6"),
        (16, "AF_NETLINK"),
        (17, "AF_PACKET"),
        (29, "AF_CAN"),
        (31, "AF_BLUETOOTH"),
        (38, "AF_ALG"),
        (40, "AF_VSOCK"),
        (44, "AF_XDP"),
    ],
);
/// Socket types, with the flags that go with them.
pub static TYPE: Flags =
    Flags::bits("SOCK_", &[(0o2_000_000, "SOCK_CLOEXEC"), (0o4000, "SOCK_NONBLOCK")])
        .with_field(
            0xf,
            &[
                (1, "SOCK_STREAM"),
                (2, "SOCK_DGRAM"),
                (3, "SOCK_RAW"),
                (4, "SOCK_RDM"),
                (5, "SOCK_SEQPACKET"),
                (6, "SOCK_DCCP"),
                (10, "SOCK_PACKET"),
            ],
        )
        .with_cloexec(0o2_000_000);
/// `accept4(2)`.
pub static ACCEPT: Flags =
    Flags::bits("SOCK_", &[(0o2_000_000, "SOCK_CLOEXEC"), (0o4000, "SOCK_NONBLOCK")])
        .with_cloexec(0o2_000_000);
/// `send(2)` and `recv(2)`.
pub static MSG: Flags = Flags::bits(
    "MSG_",
    &[
        (1, "MSG_OOB"),
        (2, "MSG_PEEK"),
        (4, "MSG_DONTROUTE"),
        (8, "MSG_CTRUNC"),
        (0x10, "MSG_PROBE"),
        (0x20, "MSG_TRUNC"),
        (0x40, "MSG_DONTWAIT"),
        (0x80, "MSG_EOR"),
        (0x100, "MSG_WAITALL"),
        (0x200, "MSG_FIN"),
        (0x400, "MSG_SYN"),
        (0x800, "MSG_CONFIRM"),
        (0x1000, "MSG_RST"),
        (0x2000, "MSG_ERRQUEUE"),
        (0x4000, "MSG_NOSIGNAL"),
        (0x8000, "MSG_MORE"),
        (0x1_0000, "MSG_WAITFORONE"),
        (0x4_0000, "MSG_BATCH"),
        (0x400_0000, "MSG_ZEROCOPY"),
        (0x2000_0000, "MSG_FASTOPEN"),
        (0x4000_0000, "MSG_CMSG_CLOEXEC"),
    ],
)
.with_cloexec(0x4000_0000);
/// `shutdown(2)`.
pub static SHUT: Flags =
    Flags::one_of("SHUT_", &[(0, "SHUT_RD"), (1, "SHUT_WR"), (2, "SHUT_RDWR")]);
/// Levels of socket options.
pub static LEVEL: Flags = Flags::one_of(
    "SOL_",
    &[
        (1, "SOL_SOCKET"),
        (0, "SOL_IP"),
        (6, "SOL_TCP"),
        (17, "SOL_UDP"),
        (41, "SOL_IPV6"),
        (58, "SOL_ICMPV6"),
        (255, "SOL_RAW"),
        (263, "SOL_PACKET"),
        (270, "SOL_NETLINK"),
    ],
);
