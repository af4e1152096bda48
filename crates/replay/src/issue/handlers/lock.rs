//! POSIX record locks. They belong to a process, and all traced processes are one process here: a
//! lock that another traced process held does not conflict in a replay.

use abi::CallSpec;
use rustix::io::Errno;

/// Fails with the reason to skip the call if it conflicted with the lock of another process.
pub(crate) fn check_conflict(spec: &CallSpec, errno: i32) -> Result<(), &'static str> {
    let conflict =
        matches!(Errno::from_raw_os_error(errno), Errno::AGAIN | Errno::ACCESS | Errno::DEADLK);
    // Locks of open files (`F_OFD_SETLK`) conflict here as well.
    if conflict && spec.name.starts_with("F_SETLK") {
        return Err("lock held by another process");
    }
    Ok(())
}
