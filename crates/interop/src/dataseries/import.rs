//! A trace out of a DataSeries file.
//!
//! Records of each call stand in extents of their own; they are put back into the order of `unique_id`, in which the library made them, with one extent of each type in
//! memory. What the original library is known to write wrongly is not read: flags as bits (their number stands beside them), thread ids of clone, `generated` of exit,
//! times of stat.

use super::rows::{self, Map, Part, Times};
use super::{Extent, Reader, Value};
use crate::{Error, Outcome};
use ahash::HashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use trace::About;
use trace::import::{Fork, Origin};
use trace::record::PieceKind;
use trace::{Import, Told};

/// Makes the trace `to` of the file `from`. `directory`: where the program was when it began, if the user knows. `progress`: bytes done, of how many.
pub fn import(
    from: &Path,
    to: &Path,
    directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let bytes = std::fs::metadata(from).map_err(Error::io("read", from))?.len();
    let index = Index::read(from)?;
    let clock = Clock::sniff(&index.sample);
    let forks = index.forks(clock);
    let began =
        index.sample.iter().filter_map(|(called, _)| clock.nanos(*called)).min().unwrap_or(0);
    let about = About {
        engine: "ra-strace (DataSeries)".to_owned(),
        data: "all".to_owned(),
        began,
        ..About::default()
    };
    let mut import =
        Import::new(to, Origin { about, directory: directory.map(<[u8]>::to_vec), forks })?;
    if directory.is_none() {
        import.note("DataSeries does not tell the working directory: relative names start from / (--directory names another)");
    }
    import.note(clock.note());
    import.note("the original tracers do not say whether they lost calls");
    let mut taken = Taking {
        import,
        clock,
        execs: HashMap::default(),
        lost: Default::default(),
        damage: index.damage,
        held: 0,
    };
    let mut streams: Vec<Stream> =
        index.types.into_iter().map(|(name, offsets)| Stream::new(name, offsets)).collect();
    let mut reader = Reader::open(from)?;
    let mut heap = BinaryHeap::new();
    for (i, s) in streams.iter_mut().enumerate() {
        if let Some(id) = s.fill(&mut reader, &mut taken)? {
            heap.push(Reverse((id, i)));
        }
    }
    let mut done = 0;
    while let Some(Reverse((_, i))) = heap.pop() {
        let stream = &mut streams[i];
        taken.group(stream)?;
        if let Some(id) = stream.fill(&mut reader, &mut taken)? {
            heap.push(Reverse((id, i)));
        }
        if stream.read > done {
            done = stream.read;
            progress(done, bytes);
        }
    }
    let Taking { import, lost, damage, .. } = taken;
    let summary = import.finish(damage.is_none(), progress)?;
    Ok(Outcome { summary, lost, damage })
}

/// Extents of all types, one each, may take so much memory together: the original's have four megabytes and one record.
const HELD: usize = 2 << 30;

/// The types whose records make threads.
/// Times looked at to find out what they count.
const SAMPLE: usize = 64;
const FORKS: [&str; 3] = ["clone", "fork", "vfork"];

/// What stands where in a file.
struct Index {
    types: Vec<(String, Vec<u64>)>,
    /// Calls that made threads: record's times, parent, child, flags.
    made: Vec<(i64, u32, u32, u64)>,
    /// Some times: called, recorded.
    sample: Vec<(i64, i64)>,
    damage: Option<String>,
}

impl Index {
    fn read(path: &Path) -> Result<Self, Error> {
        let mut reader = Reader::open(path)?;
        let mut this =
            Self { types: Vec::new(), made: Vec::new(), sample: Vec::new(), damage: None };
        loop {
            let some = this.sample.len() < SAMPLE;
            let forks = |kind: &str| {
                kind.strip_prefix(rows::PREFIX).is_some_and(|short| FORKS.contains(&short))
            };
            let (place, extent) = match reader.place(|kind| some || forks(kind)) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(e) => {
                    this.damage = Some(e.to_string());
                    break;
                }
            };
            let offset = place.offset;
            match this.types.iter_mut().find(|(name, _)| *name == place.kind) {
                Some((_, offsets)) => offsets.push(offset),
                None => this.types.push((place.kind.clone(), vec![offset])),
            }
            if let Some(extent) = extent {
                this.look(&extent, forks(&place.kind));
            }
        }
        Ok(this)
    }

    fn look(&mut self, extent: &Extent, forks: bool) {
        for i in 0..extent.records {
            let row = Row { extent, i };
            if let (Some(called), recorded, true) = (
                row.int("time_called"),
                row.int("time_recorded"),
                self.sample.len() < SAMPLE && row.int("unique_id") != Some(0),
            ) {
                self.sample.push((called, recorded.unwrap_or(0)));
            }
            let child =
                row.int("return_value").and_then(|c| u32::try_from(c).ok()).filter(|c| *c > 0);
            if let (true, Some(child), Some(parent)) = (forks, child, row.tid()) {
                self.made.push((
                    row.int("time_called").unwrap_or(0),
                    parent,
                    child,
                    row.int("flag_value").unwrap_or(0).cast_unsigned(),
                ));
            }
        }
    }

    fn forks(&self, clock: Clock) -> HashMap<u32, Vec<Fork>> {
        let mut forks: HashMap<u32, Vec<Fork>> = HashMap::default();
        for (called, parent, child, flags) in &self.made {
            forks.entry(*child).or_default().push(Fork {
                parent: *parent,
                flags: *flags,
                time: clock.nanos(*called).unwrap_or(0),
            });
        }
        forks.values_mut().for_each(|f| f.sort_by_key(|f| f.time));
        forks
    }
}

/// What the times of a file count: it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// Nanoseconds since 1970.
    Nanos,
    /// 2^-32 s since 1970, or since the machine's start.
    Tfrac,
    /// Seconds; `time_recorded`, in nanoseconds, is better.
    Recorded,
}

impl Clock {
    fn sniff(sample: &[(i64, i64)]) -> Self {
        match sample.iter().map(|(called, _)| *called).max() {
            Some(v) if (500_000_000..5_000_000_000).contains(&v) => Self::Recorded,
            Some(v) if (800_000_000_000_000_000..4_500_000_000_000_000_000).contains(&v) => {
                Self::Nanos
            }
            Some(_) => Self::Tfrac,
            None => Self::Nanos,
        }
    }
    fn nanos(self, v: i64) -> Option<u64> {
        let v = u64::try_from(v).ok()?;
        Some(match self {
            Self::Nanos => v,
            Self::Tfrac => tfrac(v).0 * 1_000_000_000 + tfrac(v).1,
            Self::Recorded if v < 5_000_000_000 => v * 1_000_000_000,
            Self::Recorded => v,
        })
    }
    fn note(self) -> &'static str {
        match self {
            Self::Nanos => "its times are nanoseconds since 1970",
            Self::Tfrac => "its times are in 2^-32 seconds",
            Self::Recorded => {
                "its times are whole seconds: those at which the library took the records are used, and durations are not known"
            }
        }
    }
}

/// Seconds and nanoseconds of a time in 2^-32 s.
fn tfrac(v: u64) -> (u64, u64) {
    (v >> 32, ((v & 0xffff_ffff) * 1_000_000_000 + (1 << 31)) >> 32)
}

/// The records of one type, in the order of the file.
struct Stream {
    name: String,
    map: Option<&'static Map>,
    offsets: std::vec::IntoIter<u64>,
    extent: Option<Extent>,
    next: usize,
    /// Bytes of the file behind it.
    read: u64,
}

impl Stream {
    fn new(name: String, offsets: Vec<u64>) -> Self {
        let map = rows::of_type(&name);
        Self { name, map, offsets: offsets.into_iter(), extent: None, next: 0, read: 0 }
    }
    fn short(&self) -> &str {
        self.name.strip_prefix(rows::PREFIX).unwrap_or(&self.name)
    }
    fn row(&self) -> Option<Row<'_>> {
        self.extent
            .as_ref()
            .filter(|e| self.next < e.records)
            .map(|extent| Row { extent, i: self.next })
    }
    /// Makes the next record ready: its number.
    fn fill(&mut self, reader: &mut Reader, taken: &mut Taking) -> Result<Option<u64>, Error> {
        while self.row().is_none() {
            let Some(offset) = self.offsets.next() else { return Ok(None) };
            self.read = offset;
            self.next = 0;
            taken.held -= self.extent.take().map_or(0, |e| e.bytes());
            match reader.read_at(offset) {
                Ok(extent) if taken.held + extent.bytes() > HELD => taken.too_large(&self.name),
                Ok(extent) => {
                    taken.held += extent.bytes();
                    self.extent = Some(extent);
                }
                Err(e @ Error::Io { .. }) => return Err(e),
                Err(e) => taken.damaged(&e),
            }
        }
        Ok(self.row().map(|r| r.int("unique_id").unwrap_or(0).max(0).cast_unsigned()))
    }
}

/// A record.
#[derive(Clone, Copy)]
struct Row<'a> {
    extent: &'a Extent,
    i: usize,
}

impl<'a> Row<'a> {
    fn value(self, name: &str) -> Value<'a> {
        self.extent.kind.position(name).map_or(Value::Null, |f| self.extent.value(self.i, f))
    }
    fn int(self, name: &str) -> Option<i64> {
        match self.value(name) {
            Value::Int(v) => Some(v),
            Value::Byte(v) => Some(v.into()),
            _ => None,
        }
    }
    fn bytes(self, name: &str) -> Option<&'a [u8]> {
        match self.value(name) {
            Value::Bytes(b) => Some(b),
            _ => None,
        }
    }
    fn text(self, name: &str) -> Option<&'a [u8]> {
        self.bytes(name).map(|b| b.split(|c| *c == 0).next().unwrap_or_default())
    }
    fn tid(self) -> Option<u32> {
        self.int("executing_tid")
            .or_else(|| self.int("executing_pid"))
            .and_then(|t| u32::try_from(t).ok())
            .filter(|t| *t > 0)
    }
    /// The result as the kernel gives it.
    fn result(self) -> Option<i64> {
        let ret = self.int("return_value")?;
        match self.int("errno_number") {
            Some(errno @ 1..4096) if ret == -1 => Some(-errno),
            _ => Some(ret),
        }
    }
}

/// An execve of which the last record has not come.
#[derive(Default)]
struct Exec {
    entered: u64,
    path: Vec<u8>,
    argv: Vec<u8>,
    envp: Vec<u8>,
}

/// An import under way.
struct Taking {
    import: Import,
    clock: Clock,
    execs: HashMap<u32, Exec>,
    lost: std::collections::BTreeMap<String, u64>,
    damage: Option<String>,
    /// Bytes of the extents in memory.
    held: usize,
}

impl Taking {
    fn damaged(&mut self, e: &Error) {
        self.damage.get_or_insert_with(|| e.to_string());
        self.lose("damaged extents");
    }

    fn too_large(&mut self, name: &str) {
        self.damage.get_or_insert_with(|| {
            format!(
                "the extents of all types together are too large for memory, from one of {name} on"
            )
        });
        self.lose("extents that are too large");
    }

    fn lose(&mut self, what: &str) {
        *self.lost.entry(what.to_owned()).or_default() += 1;
    }

    /// Takes the next record, and those that belong to it.
    fn group(&mut self, stream: &mut Stream) -> Result<(), Error> {
        let name = stream.short().to_owned();
        match name.as_str() {
            "readv" | "writev" | "recvmsg" | "sendmsg" => self.vector(stream, &name),
            "execve" => {
                let row = stream.row().map(|r| self.exec(r));
                stream.next += 1;
                row.unwrap_or(Ok(()))
            }
            _ => {
                let taken = match (stream.map, stream.row()) {
                    (Some(map), Some(row)) => self.plain(map, row),
                    _ => {
                        self.lose(&name);
                        Ok(())
                    }
                };
                stream.next += 1;
                taken
            }
        }
    }

    fn times(&self, row: Row<'_>) -> (u64, u64) {
        let time = |name: &str| row.int(name).and_then(|v| self.clock.nanos(v));
        if self.clock == Clock::Recorded {
            let recorded = time("time_recorded").unwrap_or(0);
            return (recorded, recorded);
        }
        let entered = time("time_called").unwrap_or(0);
        (entered, time("time_returned").unwrap_or(entered))
    }

    fn begin(&mut self, call: &str, row: Row<'_>) -> Option<Told> {
        let Some(tid) = row.tid() else {
            self.lose("records without a thread");
            return None;
        };
        let (entered, left) = self.times(row);
        let mut told = Told::new(call, tid, entered)?;
        if let Some(ret) = row.result() {
            told.returned(left, ret);
        }
        Some(told)
    }

    fn plain(&mut self, map: &Map, row: Row<'_>) -> Result<(), Error> {
        // The umask that the library finds when it begins: what it says of result and times is chance.
        if map.name == "umask" && row.int("unique_id") == Some(0) {
            return Ok(());
        }
        let Some(mut told) = self.begin(map.call, row) else { return Ok(()) };
        let captured = row.value("buffer_not_captured") != Value::Bool(true);
        for part in map.parts {
            self.part(*part, row, captured, &mut told);
        }
        for (arg, a) in
            told.row.shape.args.iter().enumerate().filter(|(_, a)| a.kind == abi::Kind::DirFd)
        {
            // RA-Strace writes half an address into the new directory of symlinkat.
            if !(abi::AT_FDCWD..1 << 20).contains(&(told.call.args[arg] as i32)) {
                told.number(arg, i64::from(abi::AT_FDCWD).cast_unsigned());
                *self
                    .lost
                    .entry(format!(
                        "directory descriptor of {} (the working directory is assumed)",
                        a.name
                    ))
                    .or_default() += 1;
            }
        }
        Ok(self.import.call(told)?)
    }

    fn part(&self, part: Part, row: Row<'_>, captured: bool, told: &mut Told) {
        let succeeded = told.call.succeeded();
        match part {
            Part::Number(arg, field) => {
                told.number(arg, row.int(field).unwrap_or(0).cast_unsigned())
            }
            // The original library stores no bytes of what should have a name.
            Part::Text(arg, field) => {
                match row.bytes(field).filter(|b| captured && !b.is_empty()) {
                    Some(_) => told.string(arg, row.text(field).unwrap_or_default()),
                    None if row.value(field) == Value::Null => {}
                    None => told.pointer(arg),
                }
            }
            Part::Data(arg, field) => {
                told.pointer(arg);
                if succeeded {
                    told.data(
                        arg,
                        row.bytes(field).filter(|_| captured).unwrap_or_default(),
                        told.call.ret.max(0).cast_unsigned(),
                    );
                }
            }
            Part::Before(arg, field) => {
                let size = row
                    .int("value_size")
                    .or_else(|| row.int("sockaddr_length"))
                    .or_else(|| row.int("buffer_size"))
                    .unwrap_or(0);
                told.pointer(arg);
                if let Some(bytes) =
                    row.bytes(field).filter(|b| captured && (!b.is_empty() || size == 0))
                {
                    told.piece(
                        arg,
                        PieceKind::Bytes,
                        false,
                        bytes,
                        size.clamp(0, 1 << 20).cast_unsigned(),
                    );
                }
            }
            Part::After(arg, field) => {
                told.pointer(arg);
                if let Some(bytes) =
                    row.bytes(field).filter(|b| succeeded && captured && !b.is_empty())
                {
                    told.piece(arg, PieceKind::Bytes, true, bytes, bytes.len() as u64);
                }
            }
            Part::Stat(arg) => {
                told.pointer(arg);
                if succeeded {
                    structure(row, "stat_result_", &abi::layout::STAT, "st_", arg, told);
                }
            }
            Part::Statfs(arg) => {
                told.pointer(arg);
                if succeeded {
                    structure(row, "statfs_result_", &abi::layout::STATFS, "f_", arg, told);
                }
            }
            Part::Pair(arg) => {
                let fd = |name: &str| row.int(name).map(|v| (v as i32).to_le_bytes());
                if let (Some(read), Some(write), true) =
                    (fd("read_descriptor"), fd("write_descriptor"), succeeded)
                {
                    told.piece(arg, PieceKind::Bytes, true, &[read, write].concat(), 8);
                }
            }
            Part::Times(arg, form) => {
                let time = |name: &str| row.int(name).map(i64::cast_unsigned);
                let (Some(access), Some(modification)) = (time("access_time"), time("mod_time"))
                else {
                    return;
                };
                let word = |v: u64, form: Times| {
                    let (s, ns) = tfrac(v);
                    match form {
                        Times::Seconds => s.to_le_bytes().to_vec(),
                        Times::Micros => [s.to_le_bytes(), (ns / 1000).to_le_bytes()].concat(),
                        Times::Nanos => [s.to_le_bytes(), ns.to_le_bytes()].concat(),
                    }
                };
                let bytes = [word(access, form), word(modification, form)].concat();
                told.piece(arg, PieceKind::Bytes, false, &bytes, bytes.len() as u64);
            }
        }
    }

    /// A header, and a record for each buffer.
    fn vector(&mut self, stream: &mut Stream, name: &str) -> Result<(), Error> {
        let Some(row) = stream.row() else { return Ok(()) };
        let message = name.ends_with("msg");
        if row.int("iov_number") != Some(-1) {
            self.lose("buffers without their call");
            stream.next += 1;
            return Ok(());
        }
        let told = self.begin(name, row);
        let (fd, count, flags) = (row.int("descriptor"), row.int("count"), row.int("flags_value"));
        stream.next += 1;
        let (mut data, mut vectors) = (Vec::new(), Vec::new());
        while let Some(row) = stream.row().filter(|r| r.int("iov_number").is_some_and(|n| n >= 0)) {
            let bytes = row
                .bytes("iov_data_read")
                .or_else(|| row.bytes("iov_data_written"))
                .unwrap_or_default();
            vectors.extend_from_slice(&trace::told::SOMEWHERE.to_le_bytes());
            vectors.extend_from_slice(&row.int("bytes_requested").unwrap_or(0).to_le_bytes());
            data.extend_from_slice(bytes);
            stream.next += 1;
        }
        let Some(mut told) = told else { return Ok(()) };
        told.number(0, fd.unwrap_or(-1).cast_unsigned());
        let moved = told.call.ret.max(0).cast_unsigned();
        data.truncate(moved as usize);
        if message {
            told.pointer(1);
            told.number(2, flags.unwrap_or(0).cast_unsigned());
        } else {
            told.number(2, count.unwrap_or(vectors.len() as i64 / 16).cast_unsigned());
            told.piece(1, PieceKind::Iovecs, true, &vectors, vectors.len() as u64);
        }
        if told.call.succeeded() {
            told.data(1, &data, moved);
        }
        Ok(self.import.call(told)?)
    }

    /// An execve is as many records as it has strings, and one for its end.
    fn exec(&mut self, row: Row<'_>) -> Result<(), Error> {
        let Some(tid) = row.tid() else {
            self.lose("records without a thread");
            return Ok(());
        };
        let (entered, _) = self.times(row);
        match row.int("continuation_number") {
            Some(0) => {
                self.execs.insert(
                    tid,
                    Exec {
                        entered,
                        path: row.text("given_pathname").unwrap_or_default().to_vec(),
                        ..Exec::default()
                    },
                );
            }
            Some(-1) => {
                let Some(exec) = self.execs.remove(&tid) else {
                    self.lose("execve without its beginning");
                    return Ok(());
                };
                let Some(mut told) = Told::new("execve", tid, exec.entered) else { return Ok(()) };
                told.string(0, &exec.path);
                told.piece(1, PieceKind::StrVec, false, &exec.argv, exec.argv.len() as u64);
                told.piece(2, PieceKind::StrVec, false, &exec.envp, exec.envp.len() as u64);
                let (_, left) = self.times(row);
                told.returned(left.max(exec.entered), row.result().unwrap_or(0));
                self.import.call(told)?;
            }
            _ => {
                if let Some(exec) = self.execs.get_mut(&tid) {
                    let add = |list: &mut Vec<u8>, text: Option<&[u8]>| {
                        if let Some(text) = text {
                            list.extend_from_slice(text);
                            list.push(0);
                        }
                    };
                    add(&mut exec.argv, row.text("argument"));
                    add(&mut exec.envp, row.text("environment"));
                }
            }
        }
        Ok(())
    }
}

/// A struct out of the fields of a record that tell of it.
fn structure(
    row: Row<'_>,
    prefix: &str,
    layout: &abi::Layout,
    ours: &str,
    arg: usize,
    told: &mut Told,
) {
    let mut bytes = vec![0; layout.size as usize];
    let mut some = false;
    for f in layout.fields.iter().filter(|f| f.is != abi::Is::Time) {
        let name = format!("{prefix}{}", f.name.trim_start_matches(ours));
        let Some(v) = row.int(&name) else { continue };
        // The schema has 32 bits for what may have more.
        bytes[f.at as usize..f.at as usize + usize::from(f.size)]
            .copy_from_slice(&v.to_le_bytes()[..usize::from(f.size)]);
        some = true;
    }
    if some {
        told.piece(arg, PieceKind::Bytes, true, &bytes, bytes.len() as u64);
    }
}
