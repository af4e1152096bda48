//! Traces whose frames are sound and whose records are nonsense.

use super::random::Random;
use crate::harness::forge::{Forge, PID, Part};
use std::path::Path;
use syscalls::x86_64::Sysno as X;
use trace::record::{PayloadKind, RecordKind};

const CALLS: &[X] = &[
    X::openat,
    X::open,
    X::close,
    X::read,
    X::write,
    X::pread64,
    X::pwrite64,
    X::readv,
    X::writev,
    X::lseek,
    X::dup,
    X::dup2,
    X::dup3,
    X::fcntl,
    X::rename,
    X::renameat2,
    X::link,
    X::symlink,
    X::unlink,
    X::mkdir,
    X::rmdir,
    X::mknod,
    X::getdents64,
    X::stat,
    X::fstat,
    X::statx,
    X::readlink,
    X::chdir,
    X::fchdir,
    X::getcwd,
    X::ftruncate,
    X::fallocate,
    X::copy_file_range,
    X::sendfile,
    X::splice,
    X::setxattr,
    X::getxattr,
    X::fchmod,
    X::fchown,
    X::utimensat,
    X::flock,
    X::mmap,
    X::clone,
    X::clone3,
    X::execve,
    X::pipe2,
    X::socketpair,
    X::close_range,
    X::memfd_create,
    X::openat2,
    X::io_submit,
    X::sendmsg,
    X::recvmsg,
    X::chroot,
    X::umask,
    X::unshare,
    X::ioctl,
    X::name_to_handle_at,
    X::open_by_handle_at,
    X::fsync,
    X::preadv2,
    X::pwritev2,
    X::vfork,
    X::exit_group,
];

/// A trace whose frames are sound and whose records are nonsense: every number in it may be odd,
/// every text damaged.
pub fn nonsense(path: &Path, random: &mut Random) {
    let mut forge = Forge::new(path, 2);
    forge.create(b"/w/data", 3);
    for _ in 0..30 {
        let tid = PID + random.below(3) as u32;
        let nr = if random.below(20) == 0 {
            random.odd() as u32
        } else {
            CALLS[random.below(CALLS.len() as u64) as usize] as u32
        };
        let args =
            std::array::from_fn(
                |_| if random.below(3) == 0 { random.odd() } else { random.below(6) },
            );
        let ret = if random.below(3) == 0 { random.odd() as i64 } else { random.below(6) as i64 };
        let texts: Vec<Vec<u8>> = (0..6)
            .map(|_| {
                let choice = [
                    b"/w/data".as_slice(),
                    b"d",
                    b"../..",
                    b"/w/d/e/f",
                    b"/",
                    b"user.x",
                    &[7; 144],
                    b"/w/data/../x",
                    &[1; 64],
                ];
                let mut bytes = choice[random.below(choice.len() as u64) as usize].to_vec();
                if random.below(4) == 0 {
                    random.damage(&mut bytes);
                }
                bytes
            })
            .collect();
        let mut parts: Vec<Part<'_>> = Vec::new();
        for text in texts.iter().take(random.below(6) as usize) {
            let arg = if random.below(4) == 0 {
                252 + random.below(4) as u8
            } else {
                random.below(7) as u8
            };
            let kind = PayloadKind::from_number(random.below(10) as u8).expect("a kind");
            parts.push((arg, kind, random.below(16) as u8, text));
        }
        if random.below(8) == 0 {
            let kind = RecordKind::from_number(random.below(10) as u8).expect("a kind");
            forge.event(kind, tid, args, &parts);
        } else {
            forge.call(tid, nr, args, ret, &parts);
        }
        if random.below(10) == 0 {
            forge.now = random.odd() >> 1;
        }
    }
    forge.end();
}
