//! What is derived from the name of a file: directory, extension, file system, and whether it is
//! one of the system's own. Names are escaped ([`trace::text`]), in which `/` stands for itself.

use trace::Mount;

/// Returns the directory of an absolute path, cut to `depth` components: `/usr/lib` of
/// `/usr/lib/x.so` and 2. `None`: not an absolute path.
pub(super) fn directory(path: &str, depth: Option<usize>) -> Option<&str> {
    let end = path.starts_with('/').then(|| path.rfind('/'))??;
    let dir = if end == 0 { "/" } else { &path[..end] };
    let cut = depth.and_then(|depth| dir.match_indices('/').nth(depth)).map(|(at, _)| at);
    Some(&dir[..cut.unwrap_or(dir.len())])
}

/// Returns what follows the last dot of the base name, or `None` if there is no dot but a leading
/// one, or if what follows is no extension: longer than 16 bytes.
pub(super) fn extension(path: &str) -> Option<&str> {
    let base = &path[path.rfind('/')? + 1..];
    let (stem, extension) = base.rsplit_once('.')?;
    (!stem.is_empty() && (1..=16).contains(&extension.len())).then_some(extension)
}

/// The mount points of the recorded machine.
#[derive(Default)]
pub(super) struct Mounts {
    /// The escaped mount point without its last slash, and the type.
    points: Vec<(String, String)>,
}

impl Mounts {
    pub fn new(mounts: &[Mount]) -> Self {
        let point = |mount: &Mount| {
            let point = trace::text::escape(&mount.point);
            (point.trim_end_matches('/').to_owned(), mount.fs.clone())
        };
        Self { points: mounts.iter().map(point).collect() }
    }

    /// Returns the type and the mount point of the file system of a path, as in `ext4 /home`, or
    /// the sort of a file without a path (`pipe`).
    pub fn file_system(&self, path: &str) -> Option<String> {
        if !path.starts_with('/') {
            return path.split_once(':').map(|(sort, _)| sort.to_owned());
        }
        let holds = |point: &str| {
            path.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // Of two mounts on one point the later one is seen.
        let mounted = self.points.iter().filter(|(point, _)| holds(point));
        let (point, fs) = mounted.max_by_key(|(point, _)| point.len())?;
        Some(format!("{fs} {}", if point.is_empty() { "/" } else { point }))
    }
}

/// Returns whether a file is part of the system: in /proc, /sys or /dev, a shared library or the
/// cache of the loader, a locale or a character set.
pub(super) fn is_system(path: &str) -> bool {
    const IN: [&str; 3] = ["/proc/", "/sys/", "/dev/"];
    const LOCALES: [&str; 6] = [
        "/usr/lib/locale/",
        "/usr/share/locale/",
        "/usr/share/locale-langpack/",
        "/usr/share/zoneinfo/",
        "/etc/localtime",
        "/etc/locale.alias",
    ];
    let begins = |list: &[&str]| list.iter().any(|start| path.starts_with(start));
    let in_libraries = ["/lib", "/usr/lib", "/usr/local/lib"].iter().any(|dir| {
        // /lib64, /lib32, /lib/x86_64-linux-gnu
        path.strip_prefix(dir).is_some_and(|rest| rest.contains('/'))
    });
    let base = path.rsplit('/').next().unwrap_or(path);
    let is_library = base.ends_with(".so") || base.contains(".so.");
    begins(&IN)
        || begins(&LOCALES)
        || path.starts_with("/etc/ld.so.")
        || in_libraries && (is_library || path.contains("/gconv/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories() {
        assert_eq!(directory("/usr/lib/x/y.so", None), Some("/usr/lib/x"));
        assert_eq!(directory("/usr/lib/x/y.so", Some(2)), Some("/usr/lib"));
        assert_eq!(directory("/usr/lib/x/y.so", Some(9)), Some("/usr/lib/x"));
        assert_eq!(directory("/a", None), Some("/"));
        assert_eq!(directory("/a", Some(1)), Some("/"));
        assert_eq!(directory("pipe:[1]", None), None);
        assert_eq!(directory("", None), None);
    }

    #[test]
    fn extensions() {
        assert_eq!(extension("/a.d/b.tar.gz"), Some("gz"));
        assert_eq!(extension("/a.d/b"), None);
        assert_eq!(extension("/a/.bashrc"), None);
        assert_eq!(extension("/a/b."), None);
        assert_eq!(extension("pipe:[1.2]"), None);
    }

    #[test]
    fn file_systems() {
        let mount =
            |point: &str, fs: &str| Mount { point: point.as_bytes().to_vec(), fs: fs.to_owned() };
        let mounts = Mounts::new(&[mount("/", "ext4"), mount("/home", "xfs"), mount("/", "btrfs")]);
        let of = |path: &str| mounts.file_system(path);
        assert_eq!(of("/home/a").as_deref(), Some("xfs /home"));
        assert_eq!(of("/homes/a").as_deref(), Some("btrfs /"));
        assert_eq!(of("pipe:[7]").as_deref(), Some("pipe"));
        assert_eq!(of("odd"), None);
        assert_eq!(Mounts::default().file_system("/a"), None);
    }

    #[test]
    fn the_systems_own() {
        for path in [
            "/proc/self/maps",
            "/dev/null",
            "/etc/ld.so.cache",
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/usr/lib64/libm.so",
            "/usr/lib/locale/locale-archive",
            "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache",
        ] {
            assert!(is_system(path), "{path}");
        }
        for path in
            ["/home/a/lib/x.so", "/usr/lib/python3/os.py", "/etc/passwd", "/procs", "pipe:[1]"]
        {
            assert!(!is_system(path), "{path}");
        }
    }
}
