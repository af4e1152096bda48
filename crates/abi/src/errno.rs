//! Names of error numbers.

use syscalls::Errno;

/// `ENOENT` for 2. The kernel's own codes, which a program sees when it is restarted, have names too (`ERESTARTSYS`).
pub fn errno_name(number: i32) -> Option<&'static str> {
    Errno::new(number).name()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names() {
        assert_eq!(super::errno_name(2), Some("ENOENT"));
        assert_eq!(super::errno_name(512), Some("ERESTARTSYS"));
        assert_eq!(super::errno_name(4000), None);
    }
}
