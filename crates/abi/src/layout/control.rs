//! Control messages of sockets (cmsg(3)), in the layout of 64-bit kernels.

use linux_raw_sys::net::{SCM_RIGHTS, SOL_SOCKET};

/// Returns the descriptors in the `SCM_RIGHTS` messages (unix(7)) of a control buffer, in order. A
/// length that is too small or too large is limited to the buffer.
pub fn received_descriptors(mut control: &[u8]) -> Vec<i32> {
    let mut fds = Vec::new();
    while let Some((head, _)) = control.split_first_chunk::<16>() {
        let u32_at =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let len = (u32_at(0) as usize).clamp(16, control.len());
        if (u32_at(8), u32_at(12)) == (SOL_SOCKET, SCM_RIGHTS) {
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
