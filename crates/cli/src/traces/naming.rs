//! The default trace: where one is written, and which one is read, if the user names none.

use crate::messages::Messages;
use crate::messages::failure::{self, Advise};
use crate::options::TraceArg;
use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Returns whether a directory is a trace, finished or not.
pub fn is_trace(path: &Path) -> bool {
    path.join("trace.json").is_file() || path.join("journal").is_dir()
}

/// Returns the path of the trace to write: `wanted`, or the first unused one of `./PROGRAM.ra`,
/// `./PROGRAM.1.ra` and so on. With `force`, a trace of that name is removed first; anything else
/// never is.
pub fn choose_output(wanted: Option<&Path>, program: &OsStr, force: bool) -> Result<PathBuf> {
    if let Some(path) = wanted {
        return clear_path(path.to_owned(), force);
    }
    let name = |n: u32| {
        let mut name = Path::new(program).file_name().unwrap_or(OsStr::new("trace")).to_owned();
        name.push(if n == 0 { ".ra".to_owned() } else { format!(".{n}.ra") });
        PathBuf::from(name)
    };
    if force {
        return clear_path(name(0), true);
    }
    (0..100_000)
        .map(name)
        .find(|p| p.symlink_metadata().is_err())
        .context("no unused name for a trace in this directory")
}

/// Makes sure that the path can be created: removes an empty directory, and with `force` a trace.
/// Fails if anything else is there.
fn clear_path(path: PathBuf, force: bool) -> Result<PathBuf> {
    let Ok(meta) = path.symlink_metadata() else { return Ok(path) };
    let shown = path.display();
    if meta.is_dir() && fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none()) {
        fs::remove_dir(&path)
            .with_context(|| format!("cannot replace the empty directory {shown}"))?;
        return Ok(path);
    }
    if !is_trace(&path) {
        return Err(anyhow::anyhow!("{shown} exists and is not a trace"))
            .advise("choose another name with -o: --force replaces traces only");
    }
    if !force {
        return Err(anyhow::anyhow!("{shown} exists"))
            .advise("choose another name with -o, or add --force to replace it");
    }
    fs::remove_dir_all(&path).with_context(|| format!("cannot replace {shown}"))?;
    Ok(path)
}

/// Returns the path of the trace to read: the one that the user names, or the newest one in the
/// current directory, which is then printed.
pub fn choose_input(named: &TraceArg, messages: &Messages) -> Result<PathBuf> {
    if let Some(path) = &named.trace {
        let shown = path.display();
        let there = path.symlink_metadata();
        let within = path.join("trace.json").symlink_metadata();
        for seen in [&there, &within] {
            if let Err(e) = seen
                && e.kind() == std::io::ErrorKind::PermissionDenied
            {
                let refused = trace::Error::Io {
                    doing: "read",
                    path: path.clone(),
                    source: rustix::io::Errno::ACCESS.into(),
                };
                return failure::with_advice(Err(refused), path);
            }
        }
        if there.is_err() {
            let advice = format!(
                "`ls -d *.ra` shows the traces here; `reanimator record -o {shown} -- CMD` makes \
                    one"
            );
            return Err(anyhow::anyhow!("no trace at {shown}")).advise(advice);
        }
        if !is_trace(path) {
            return Err(anyhow::anyhow!(
                "{shown} is not a trace: it has neither trace.json nor a journal"
            ))
            .advise("a trace is the directory NAME.ra that `reanimator record` made");
        }
        return Ok(path.clone());
    }
    let path = newest_trace(Path::new("."))
        .advise("name a trace, or make one: reanimator record -- CMD")?;
    messages.say(format_args!("reading {}, the newest trace here", path.display()));
    Ok(path)
}

/// Returns the name of the newest trace in a directory.
fn newest_trace(dir: &Path) -> Result<PathBuf> {
    let mut found: Option<(SystemTime, OsString)> = None;
    for entry in fs::read_dir(dir).context("cannot list the current directory")?.flatten() {
        let path = entry.path();
        if path.extension() != Some(OsStr::new("ra")) || !is_trace(&path) {
            continue;
        }
        let changed = |p: &Path| p.symlink_metadata().and_then(|m| m.modified()).ok();
        let Some(time) = changed(&path.join("trace.json")).or_else(|| changed(&path)) else {
            continue;
        };
        if found.as_ref().is_none_or(|(newest, _)| time > *newest) {
            found = Some((time, entry.file_name()));
        }
    }
    match found {
        Some((_, name)) => Ok(name.into()),
        None => bail!("there is no trace (*.ra) in the current directory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make_trace(path: &Path) {
        fs::create_dir_all(path).expect("a temporary directory");
        fs::write(path.join("trace.json"), "{}").expect("a temporary directory");
    }

    #[test]
    fn only_traces_give_way_and_only_to_force() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let trace = dir.path().join("a.ra");
        assert_eq!(choose_output(Some(&trace), OsStr::new("a"), false).expect("free"), trace);
        make_trace(&trace);
        assert!(choose_output(Some(&trace), OsStr::new("a"), false).is_err());
        assert_eq!(choose_output(Some(&trace), OsStr::new("a"), true).expect("forced"), trace);
        assert!(!trace.exists());
        fs::create_dir(&trace).expect("free again");
        fs::write(trace.join("thesis.tex"), "years of work").expect("writable");
        assert!(choose_output(Some(&trace), OsStr::new("a"), true).is_err());
        assert!(trace.join("thesis.tex").exists());
    }

    #[test]
    fn the_newest_is_the_one_written_last() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert!(newest_trace(dir.path()).is_err());
        make_trace(&dir.path().join("b.ra"));
        std::thread::sleep(std::time::Duration::from_millis(200));
        make_trace(&dir.path().join("a.ra"));
        fs::create_dir(dir.path().join("empty.ra")).expect("free");
        assert_eq!(newest_trace(dir.path()).expect("two traces"), Path::new("a.ra"));
    }
}
