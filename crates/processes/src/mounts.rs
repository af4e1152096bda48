//! File systems that do not store files: replay performs no calls on them.

pub(crate) mod namespace;

/// The `statfs.f_type` of file systems whose files the kernel generates
/// (`include/uapi/linux/magic.h`).
const VIRTUAL_MAGIC: &[u32] = &[
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x1cd1,      // devpts
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0x1980_0202, // mqueue
    0x6265_6570, // configfs
    0x4249_4e4d, // binfmt_misc
    0xde5e_81e4, // efivarfs
    0x6e73_6673, // nsfs
    0xf97c_ff8c, // selinux
    0x5049_4446, // pidfs
    0x0904_1934, // anonymous inodes
    0x0187,      // autofs
];

/// The names of such file systems in `/proc/self/mountinfo`, and of devtmpfs.
const VIRTUAL_TYPES: &[&str] = &[
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "cgroup",
    "cgroup2",
    "debugfs",
    "tracefs",
    "securityfs",
    "bpf",
    "pstore",
    "mqueue",
    "configfs",
    "fusectl",
    "binfmt_misc",
    "efivarfs",
    "nsfs",
    "selinuxfs",
    "pidfs",
    "autofs",
    "rpc_pipefs",
];

/// Returns whether a file system with this `f_type` generates its files, as procfs does.
pub fn is_virtual_magic(magic: u32) -> bool {
    VIRTUAL_MAGIC.contains(&magic)
}

/// The recorded machine's mounts.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    /// The mount points, the longest paths first, and whether what is mounted there is virtual.
    points: Vec<(Vec<u8>, bool)>,
}

impl Mounts {
    /// Creates the list from mount points and file system types. A later mount on the same point
    /// hides an earlier one.
    pub fn new<'a>(mounts: impl IntoIterator<Item = (&'a [u8], &'a str)>) -> Self {
        // In a container, /dev is a tmpfs with device nodes. Programs store nothing there but in
        // /dev/shm, which is another mount.
        let mut points: Vec<_> = mounts
            .into_iter()
            .map(|(point, fs_type)| {
                (crate::lexical(point), VIRTUAL_TYPES.contains(&fs_type) || point == b"/dev")
            })
            .collect();
        points.reverse();
        points.sort_by_key(|p| std::cmp::Reverse(p.0.len()));
        points.dedup_by(|a, b| a.0 == b.0);
        Self { points }
    }

    /// Returns whether this absolute path (joined, not necessarily clean) is on a file system that
    /// generates its files, as procfs does.
    pub fn is_virtual(&self, path: &[u8]) -> bool {
        let clean = crate::lexical(path);
        let is_at_or_below = |point: &[u8]| {
            point == b"/"
                || (clean.starts_with(point) && matches!(clean.get(point.len()), None | Some(b'/')))
        };
        self.points.iter().find(|(point, _)| is_at_or_below(point)).is_some_and(|p| p.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_decides() {
        let list: [(&[u8], &str); 4] =
            [(b"/", "ext4"), (b"/proc", "proc"), (b"/dev", "tmpfs"), (b"/dev/shm", "tmpfs")];
        let mounts = Mounts::new(list);
        assert!(mounts.is_virtual(b"/proc/self/maps"));
        assert!(mounts.is_virtual(b"/usr/../proc"));
        assert!(mounts.is_virtual(b"/dev/null"));
        assert!(!mounts.is_virtual(b"/dev/shm/x"));
        assert!(!mounts.is_virtual(b"/process"));
    }
}
