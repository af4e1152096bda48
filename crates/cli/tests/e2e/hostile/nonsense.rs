//! Damage at random: to the files of a sealed trace, to journals, and to what is written in records whose frames are sound.

use super::{GIB_IN_KIB, Outside};
use crate::forge::{Forge, PID, Part};
use crate::place::Place;
use crate::run::run;
use nix::sys::resource::{UsageWho, getrusage};
use std::fs;
use std::path::{Path, PathBuf};
use syscalls::x86_64::Sysno as X;
use trace::record::{PieceKind, RecordKind};
use trace::{Item, Trace, Want};

/// A source of numbers that look random.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }
    /// A number that somebody may have forgotten.
    fn odd(&mut self) -> u64 {
        match self.below(8) {
            0 => u64::MAX,
            1 => 1 << self.below(64),
            2 => (1 << self.below(64)) - 1,
            3 => i64::MIN as u64,
            4 => -100i64 as u64,
            5 => self.below(1 << 32) << self.below(33),
            _ => self.below(70),
        }
    }
    /// Damages some bytes.
    pub(super) fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() as u64) as usize;
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => {
                    let odd = self.odd().to_le_bytes();
                    let n = odd.len().min(bytes.len() - at);
                    bytes[at..at + n].copy_from_slice(&odd[..n]);
                }
                2 => bytes.extend_from_within(at..),
                3 => drop(bytes.drain(at..(at + self.below(64) as usize).min(bytes.len()))),
                _ if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
            if bytes.is_empty() {
                return;
            }
        }
    }
}

/// Opens a trace and reads all of it; errors are fine, panics are not.
fn read_through(trace: &Path) -> (u64, bool) {
    let Ok(trace) = Trace::open(trace) else { return (0, false) };
    let mut calls = 0;
    for item in trace.read(Want { data: true }) {
        match item {
            Ok(Item::Call(_)) => calls += 1,
            Ok(Item::Event(_)) => {}
            Err(_) => return (calls, false),
        }
    }
    (calls, true)
}

/// 6,000 damages to the files of a real, sealed trace.
#[test]
fn damaged_files() {
    let place = Place::new();
    let trace = place.trace("t");
    run(&mut place.record(
        &trace,
        &[],
        ["/bin/dash", "-c", "mkdir d; echo x > d/f; cat d/f > g; ln -s g h; ls -l; rm g"],
    ))
    .ok("record");
    let (whole, fine) = read_through(&trace);
    assert!(whole > 50 && fine);
    let files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&trace)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_file())
        .map(|p| (p.clone(), fs::read(&p).unwrap()))
        .collect();
    let mut random = Random(4711);
    let mut noticed = 0;
    for _ in 0..6000 {
        let (path, content) = &files[random.below(files.len() as u64) as usize];
        let mut damaged = content.clone();
        random.damage(&mut damaged);
        fs::write(path, &damaged).unwrap();
        let (calls, fine) = read_through(&trace);
        noticed += u32::from(!fine || calls != whole);
        fs::write(path, content).unwrap();
    }
    assert_eq!(read_through(&trace), (whole, true), "the trace as it was can still be read");
    assert!(noticed > 2000, "{noticed} damages of 6,000 were noticed");
    let most = getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss();
    assert!(most < GIB_IN_KIB, "{most} KiB");
}

/// A trace whose frames are sound and whose records are nonsense: every number in it may be odd, every text damaged.
fn nonsense(path: &Path, random: &mut Random) {
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
            let kind = PieceKind::from_number(random.below(10) as u8).unwrap();
            parts.push((arg, kind, random.below(16) as u8, text));
        }
        if random.below(8) == 0 {
            let kind = RecordKind::from_number(random.below(10) as u8).unwrap();
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

/// 4,000 traces of nonsense sealed and read.
#[test]
fn sound_frames_full_of_nonsense() {
    // In memory: a trace is made durable several times while it is sealed.
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut random = Random(815);
    for i in 0..4000 {
        let seed = random.0;
        let trace = place.path().join("t.ra");
        nonsense(&trace, &mut random);
        if i % 3 == 0 {
            // And the journal itself damaged.
            for entry in fs::read_dir(trace.join("journal")).unwrap() {
                let path = entry.unwrap().path();
                let mut bytes = fs::read(&path).unwrap();
                random.damage(&mut bytes);
                fs::write(&path, bytes).unwrap();
            }
        }
        let outcome = std::panic::catch_unwind(|| read_through(&trace));
        assert!(outcome.is_ok(), "trace {i}, seed {seed}");
        fs::remove_dir_all(&trace).unwrap();
    }
    let most = getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss();
    assert!(most < GIB_IN_KIB, "{most} KiB");
}

/// Nonsense performed.
#[test]
fn nonsense_replayed() {
    let mut outside = Outside::new();
    let mut random = Random(1234);
    for i in 0..150 {
        let what = format!("nonsense {i} (seed {})", random.0);
        let trace = outside.place.trace(&format!("n{i}"));
        nonsense(&trace, &mut random);
        outside.survives(&what, &trace);
        fs::remove_dir_all(&trace).unwrap();
    }
}
