//! A trace out of strace's text.

use super::line::{self, Body, Line, When};
use super::value;
use crate::forks::{Forks, clone_flags, is_fork};
use crate::{Error, Outcome, lines};
use abi::Effect;
use ahash::{HashMap, HashSet};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use trace::About;
use trace::import::Origin;
use trace::{Import, Told};

/// Nanoseconds between lines without times.
const STEP: u64 = 1000;
const EBADF: i32 = 9;
const DAY: u64 = 86_400_000_000_000;

/// Makes the trace `to` of the text `from`; of all of `NAME.PID` if that is one of them. `directory`: where the program was when it began, if the user knows and the
/// text does not say (`-y` says it). `progress`: bytes done, of how many.
pub fn import(
    from: &Path,
    to: &Path,
    directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let mut first = First::default();
    Lines::open(from)?.each(&mut |line, time| {
        first.look(line, time);
        Ok(())
    })?;
    let directory = directory.map(<[u8]>::to_vec).or(first.directory.take());
    let main = first.main();
    let about = About {
        engine: "strace".to_owned(),
        data: "all".to_owned(),
        machine: "x86_64".to_owned(),
        began: first.began.unwrap_or(0),
        ..About::default()
    };
    let known = directory.is_some();
    let import = Import::new(to, Origin { about, directory, forks: first.forks.made })?;
    let mut taking = Taking {
        import,
        main,
        open: HashMap::default(),
        lost: BTreeMap::new(),
        alive: HashSet::default(),
        cut: 0,
    };
    if !known {
        taking.import.note("strace says the working directory only with -y: relative names start from / (--directory names another)");
    }
    if !first.timed {
        taking
            .import
            .note("there are no times in it (-ttt): the order of the lines is that of the calls");
    }
    let mut lines = Lines::open(from)?;
    let all = lines.bytes;
    lines.each(&mut |line, time| taking.line(line, time))?;
    progress(all, all);
    let Taking { mut import, open, lost, cut, .. } = taking;
    if cut > 0 {
        import.note(format!(
            "{cut} calls have strings that strace cut: -s with a greater number keeps them"
        ));
    }
    for begun in open.into_values() {
        if let Some(told) = begun.told() {
            import.call(told)?;
        }
    }
    let summary = import.finish(true, progress)?;
    Ok(Outcome { summary, lost, damage: None })
}

/// The lines of a file, or of several in the order of their times.
struct Lines {
    files: Vec<Source>,
    bytes: u64,
}

struct Source {
    lines: lines::Lines,
    /// The thread that a file of its own is about.
    tid: Option<u32>,
    clock: u64,
    /// A midnight ago.
    days: u64,
    next: Option<(String, u64)>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Error> {
        let mut this = Self { files: Vec::new(), bytes: 0 };
        for (path, tid) in family(path) {
            this.bytes += path.metadata().map_or(0, |m| m.len());
            let mut source =
                Source { lines: lines::Lines::open(&path)?, tid, clock: 0, days: 0, next: None };
            source.fill()?;
            this.files.push(source);
        }
        Ok(this)
    }

    fn each(
        &mut self,
        each: &mut dyn FnMut(Line<'_>, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while let Some(first) = self
            .files
            .iter_mut()
            .filter(|f| f.next.is_some())
            .min_by_key(|f| f.next.as_ref().map(|n| n.1))
        {
            if let Some((text, time)) = first.next.take() {
                let mut line = Line::read(&text);
                line.tid = line.tid.or(first.tid);
                each(line, time)?;
            }
            first.fill()?;
        }
        Ok(())
    }
}

/// The file itself; if it is one of `strace -ff -o NAME` (NAME.PID), all of them.
fn family(path: &Path) -> Vec<(PathBuf, Option<u32>)> {
    let number =
        |p: &Path| p.extension().and_then(|e| e.to_str()).and_then(|e| e.parse::<u32>().ok());
    let (Some(_), Some(parent)) = (number(path), path.parent()) else {
        return vec![(path.to_owned(), None)];
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let siblings = std::fs::read_dir(parent).into_iter().flatten().flatten().map(|e| e.path());
    let mut found: Vec<(PathBuf, Option<u32>)> = siblings
        .filter(|p| p.file_stem() == path.file_stem() && number(p).is_some())
        .map(|p| (p.clone(), number(&p)))
        .collect();
    found.sort();
    found
}

impl Source {
    fn fill(&mut self) -> Result<(), Error> {
        let Some(text) = self.lines.next()? else { return Ok(()) };
        let time = match line::time(&text) {
            When::Epoch(t) => t,
            When::Day(t) => {
                let t = t.saturating_add(self.days);
                if t + DAY / 2 < self.clock {
                    self.days += DAY;
                    t + DAY
                } else {
                    t
                }
            }
            When::Since(t) => self.clock.saturating_add(t),
            When::Never => self.clock + STEP,
        };
        self.clock = self.clock.max(time);
        self.next = Some((text, self.clock));
        Ok(())
    }
}

/// What a first reading finds out.
#[derive(Default)]
struct First {
    forks: Forks,
    seen: Vec<u32>,
    directory: Option<Vec<u8>>,
    began: Option<u64>,
    timed: bool,
}

impl First {
    fn look(&mut self, line: Line<'_>, time: u64) {
        self.began.get_or_insert(time);
        self.timed |= line.when != When::Never;
        if let Some(tid) = line.tid.filter(|t| !self.seen.contains(t)) {
            self.seen.push(tid);
        }
        let tid = line.tid.unwrap_or(0);
        let child =
            |after: &str| after.split([' ', '<']).next().and_then(|n| n.parse().ok()).unwrap_or(0);
        if self.directory.is_none()
            && let Body::Call(_, args, _) | Body::Begin(_, args) = line.body
            && let Some(at) = args.find("AT_FDCWD<")
        {
            let end = args[at..].find(">,").map_or(args.len(), |end| at + end + 1);
            self.directory = value::path(&args[at..end]).filter(|p| p.starts_with(b"/"));
        }
        match line.body {
            Body::Begin(name, args) if is_fork(name) => {
                self.forks.begin(tid, time, clone_flags(args))
            }
            Body::Call(name, args, after) if is_fork(name) => {
                self.forks.begin(tid, time, clone_flags(args));
                self.forks.end(tid, child(after));
            }
            Body::Resume(name, args, after) if is_fork(name) => {
                self.forks.begun.entry(tid).or_insert((time, 0)).1 |= clone_flags(args);
                self.forks.end(tid, child(after));
            }
            _ => {}
        }
    }

    /// Who the lines without a number are about: the first thread that nobody made. Forks that such lines tell of are its.
    fn main(&mut self) -> u32 {
        let main =
            self.seen.iter().copied().find(|t| !self.forks.made.contains_key(t)).unwrap_or(1);
        self.forks
            .made
            .values_mut()
            .flatten()
            .filter(|f| f.parent == 0)
            .for_each(|f| f.parent = main);
        main
    }
}

/// A call that has begun.
struct Begun {
    tid: u32,
    entered: u64,
    name: String,
    args: String,
}

impl Begun {
    /// The call, if it never ended.
    fn told(&self) -> Option<Told> {
        Told::new(&self.name, self.tid, self.entered)
    }
}

struct Taking {
    import: Import,
    main: u32,
    open: HashMap<u32, Begun>,
    lost: BTreeMap<String, u64>,
    alive: HashSet<u32>,
    cut: u64,
}

impl Taking {
    fn lose(&mut self, what: &str) {
        *self.lost.entry(what.to_owned()).or_default() += 1;
    }

    fn line(&mut self, line: Line<'_>, time: u64) -> Result<(), Error> {
        // Lines without a number are about the only one that is left.
        let only = || if self.alive.len() == 1 { self.alive.iter().next().copied() } else { None };
        let tid = line.tid.or_else(only).unwrap_or(self.main);
        match line.body {
            Body::Call(name, args, after) => {
                let begun =
                    Begun { tid, entered: time, name: name.to_owned(), args: args.to_owned() };
                self.call(begun, after, None)
            }
            Body::Begin(name, args) => {
                self.open.insert(
                    tid,
                    Begun { tid, entered: time, name: name.to_owned(), args: args.to_owned() },
                );
                self.alive.insert(tid);
                Ok(())
            }
            Body::Resume(name, args, after) => match self.open.remove(&tid) {
                Some(mut begun) if begun.name == name => {
                    if !begun.args.is_empty()
                        && !begun.args.ends_with(',')
                        && !args.is_empty()
                        && !args.starts_with(',')
                    {
                        begun.args.push_str(", ");
                    }
                    begun.args.push_str(args);
                    self.call(begun, after, Some(time))
                }
                _ => {
                    self.lose("ends of calls without their beginnings");
                    Ok(())
                }
            },
            Body::Signal(name) => {
                Ok(self.import.signal(tid, time, value::signal(name).unwrap_or(0))?)
            }
            Body::Exited(status) => self.gone(tid, time, u64::from(status & 0xff) << 8),
            Body::Killed(_) => self.gone(tid, time, 9),
            Body::Superseded(_) => {
                self.open.remove(&tid);
                self.alive.remove(&tid);
                Ok(())
            }
            Body::Talk => Ok(()),
            Body::Unknown => {
                self.lose("lines that are no call");
                Ok(())
            }
        }
    }

    fn gone(&mut self, tid: u32, time: u64, status: u64) -> Result<(), Error> {
        if let Some(told) = self.open.remove(&tid).and_then(|begun| begun.told()) {
            self.import.call(told)?;
        }
        self.alive.remove(&tid);
        Ok(self.import.exit(tid, time, status)?)
    }

    fn call(&mut self, begun: Begun, after: &str, resumed: Option<u64>) -> Result<(), Error> {
        let Begun { tid, entered, name, args } = begun;
        self.alive.insert(tid);
        let Some(mut told) = Told::new(&name, tid, entered) else {
            self.lose(&format!("calls of {name}, which the table does not know"));
            return Ok(());
        };
        if let Some(ret) = Self::result(after) {
            let spent = after
                .rsplit_once('<')
                .and_then(|(_, t)| t.strip_suffix('>'))
                .and_then(|t| t.parse::<f64>().ok());
            let spent =
                spent.filter(|s| (0.0..1e9).contains(s)).map(|s| entered + (s * 1e9) as u64);
            told.returned(spent.or(resumed).unwrap_or(entered), ret);
        }
        let parts = value::split(&args);
        self.cut += u64::from(parts.iter().any(|p| p.ends_with("\"...")));
        let exits = matches!(told.row.shape.effect, Effect::Exit | Effect::ExitGroup);
        let mut unread = false;
        // What an argument is may hang on another one's value: numbers first.
        for numbers in [true, false] {
            for (i, text) in parts.iter().enumerate() {
                let shape = if numbers { &told.row.shape } else { told.row.shape(&told.call.args) };
                let text = text.as_str();
                let (i, text) = named(shape, i, text);
                let Some(arg) = shape.args.get(i) else { continue };
                if arg.kind.is_followed() != numbers {
                    unread |= !value::take(&mut told, i, arg.kind, text);
                }
            }
        }
        if unread && told.row.shape.replay == abi::Replay::Issue {
            self.lose(&format!("words in arguments of {name} that mean nothing to us"));
        }
        for (i, text) in parts.iter().enumerate() {
            self.present(&told, i, text)?;
        }
        if exits {
            told.call.left = None;
            told.call.flags |= trace::record::NO_EXIT;
            self.alive.remove(&tid);
        }
        Ok(self.import.call(told)?)
    }

    /// With `-y`: a descriptor that nobody has told of was open when the recording began.
    fn present(&mut self, told: &Told, arg: usize, text: &str) -> Result<(), Error> {
        let is_fd = told
            .row
            .shape
            .args
            .get(arg)
            .is_some_and(|a| matches!(a.kind, abi::Kind::Fd | abi::Kind::DirFd));
        let fd = told.call.args.get(arg).map_or(-1, |v| *v as i32);
        // strace says where a number led, even if the call found it closed.
        let open = told.call.errno() != Some(EBADF);
        match value::path(text).filter(|p| open && is_fd && fd >= 0 && p.starts_with(b"/")) {
            Some(path) if !self.import.has_descriptor(told.call.tid, fd) => {
                Ok(self.import.descriptor(told.call.tid, told.call.entered, fd, &path, 2)?)
            }
            _ => Ok(()),
        }
    }

    /// The result; `None`: it did not return.
    fn result(after: &str) -> Option<i64> {
        let word = after.split([' ', '<']).next().unwrap_or_default();
        if word == "?" {
            let restart = after.strip_prefix("? ").and_then(|rest| rest.split(' ').next());
            return restart.and_then(value::errno).map(|e| -e);
        }
        let value = value::number(word, None)?.cast_signed();
        let name = after.strip_prefix("-1 ").and_then(|rest| rest.split(' ').next());
        Some(name.and_then(value::errno).map_or(value, |e| -e))
    }
}

/// `name=value`, as strace prints the arguments of clone: their place goes by the name.
fn named<'t>(shape: &abi::Shape, i: usize, text: &'t str) -> (usize, &'t str) {
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    }) else {
        return (i, text);
    };
    let known = shape.args.iter().position(|a| {
        a.name == name
            || a.name.ends_with(name)
            || a.name.starts_with(name)
            || (name == "child_stack" && a.name == "newsp")
    });
    known.map_or((usize::MAX, value), |i| (i, value))
}
