//! Control messages (cmsg(3), 64-bit layout).

use linux_raw_sys::net::{SCM_RIGHTS, SOL_SOCKET};

/// The descriptors in `SCM_RIGHTS` messages (unix(7)).
pub fn rights(mut control: &[u8]) -> Vec<i32> {
    let mut fds = Vec::new();
    while let Some((head, _)) = control.split_first_chunk::<16>() {
        let word =
            |at: usize| i32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let len = (word(0) as u32 as usize).clamp(16, control.len());
        if (word(8) as u32, word(12) as u32) == (SOL_SOCKET, SCM_RIGHTS) {
            fds.extend(
                control[16..len]
                    .chunks_exact(4)
                    .map(|n| i32::from_le_bytes(n.try_into().expect("chunks of four"))),
            );
        }
        control = control.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    fds
}
