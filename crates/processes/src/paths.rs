//! Joining and cleaning paths, as bytes.

/// Joins `path` to the directory `base`, both as the recorder sees them; absolute paths start from
/// `root`.
pub(crate) fn join(root: Option<&[u8]>, base: &[u8], path: &[u8]) -> Box<[u8]> {
    let start = if path.first() == Some(&b'/') { root.unwrap_or(b"") } else { base };
    if path.is_empty() {
        return start.into();
    }
    let mut joined = Vec::with_capacity(start.len() + 1 + path.len());
    joined.extend_from_slice(start);
    while joined.last() == Some(&b'/') {
        joined.pop();
    }
    if path[0] != b'/' {
        joined.push(b'/');
    }
    joined.extend_from_slice(path);
    joined.into_boxed_slice()
}

/// Returns an absolute path without `.`, `..`, and doubled or trailing slashes. It leads to the
/// same file if no component is a symbolic link.
pub fn lexical(path: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(path.len());
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let end = clean.iter().rposition(|b| *b == b'/').unwrap_or(0);
                clean.truncate(end);
            }
            name => {
                clean.push(b'/');
                clean.extend_from_slice(name);
            }
        }
    }
    if clean.is_empty() {
        clean.push(b'/');
    }
    clean
}

/// Returns the directory of the last component of a clean absolute path. That of `/` is `/`.
pub fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|b| *b == b'/') {
        None | Some(0) => b"/",
        Some(index) => &path[..index],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_cleaned() {
        assert_eq!(&*join(None, b"/a/b", b"c"), b"/a/b/c");
        assert_eq!(&*join(None, b"/", b"c"), b"/c");
        assert_eq!(&*join(None, b"/a", b"/c"), b"/c");
        assert_eq!(&*join(Some(b"/jail"), b"/jail/a", b"/c"), b"/jail/c");
        assert_eq!(&*join(None, b"/a", b""), b"/a");
        assert_eq!(lexical(b"/a/./b//../c/"), b"/a/c");
        assert_eq!(lexical(b"/../.."), b"/");
        assert_eq!(parent(b"/a/b"), b"/a");
        assert_eq!(parent(b"/a"), b"/");
    }
}
