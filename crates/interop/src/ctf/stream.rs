//! Reads the packets of all streams, with a thread for each stream, and merges their events by
//! time.

mod reader;

use super::layout::{EventClass, Metadata};
use super::tsdl;
use super::value::Event;
use crate::Error;
use reader::StreamReader;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

/// The longest metadata.
const MAX_METADATA: u64 = 256 << 20;
/// How many batches of events of a thread may wait.
const MAX_WAITING_BATCHES: usize = 4;
/// The most streams: each is read by a thread.
const MAX_STREAMS: usize = 1024;
/// How deep directories are searched for metadata.
const MAX_DEPTH: usize = 6;

/// An opened CTF trace.
pub struct Trace {
    /// Its metadata.
    pub metadata: Arc<Metadata>,
    streams: Vec<PathBuf>,
    /// Bytes of its streams.
    pub bytes: u64,
}

/// What reading found, besides events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that the tracer dropped.
    pub lost: u64,
    /// Packets that are missing, as the numbers of the others show, or damaged.
    pub packets: u64,
    /// The first error of each stream.
    pub damage: Vec<String>,
    /// Bytes read.
    pub bytes: u64,
}

/// Returns whether a directory, or a directory below it, holds a CTF trace.
pub fn is_ctf(dir: &Path) -> bool {
    !find_metadata(dir, MAX_DEPTH).is_empty()
}

/// Returns the files called `metadata` in a directory and up to `depth` levels below it, in order.
fn find_metadata(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let here = dir.join("metadata");
    if here.is_file() {
        return vec![here];
    }
    let below = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .filter(|p| depth > 0 && p.is_dir() && !p.is_symlink());
    let mut found: Vec<PathBuf> = below.flat_map(|p| find_metadata(&p, depth - 1)).collect();
    found.sort();
    found
}

impl Trace {
    /// Opens the trace in `dir`, or the kernel trace in a directory below it. Fails if there is
    /// none, or its metadata cannot be read.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let alien = |what: String| Error::Alien { path: dir.to_owned(), format: "CTF trace", what };
        let found = find_metadata(dir, MAX_DEPTH);
        let path = match &found[..] {
            [] => return Err(alien("it has no metadata".to_owned())),
            [one] => one,
            several => several
                .iter()
                .find(|p| p.parent().is_some_and(|d| d.ends_with("kernel")))
                .unwrap_or(&several[0]),
        };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|f| f.take(MAX_METADATA).read_to_end(&mut bytes))
            .map_err(Error::io("read", path))?;
        let metadata = tsdl::text(&bytes).and_then(|text| tsdl::parse(&text)).map_err(alien)?;
        let here = path.parent().unwrap_or(dir);
        let mut streams: Vec<PathBuf> = std::fs::read_dir(here)
            .map_err(Error::io("list", here))?
            .flatten()
            .map(|e| e.path())
            .collect();
        streams.retain(|p| {
            p.is_file()
                && p != path
                && p.file_name().is_some_and(|n| !n.as_encoded_bytes().starts_with(b"."))
        });
        streams.sort();
        if streams.len() > MAX_STREAMS {
            return Err(alien(format!(
                "it has {} streams, more than the {MAX_STREAMS} that can be read",
                streams.len()
            )));
        }
        let bytes = streams.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
        Ok(Self { metadata: Arc::new(metadata), streams, bytes })
    }

    /// Calls `each` with all events in the order of time.
    pub fn read<'t, E: From<Error>>(
        &'t self,
        each: impl FnMut(&Item<'t>) -> Result<(), E>,
    ) -> Result<Counts, E> {
        self.select(|_| true, each)
    }

    /// Calls `each` with the events of the `wanted` classes, and the first event of each stream, in
    /// the order of time.
    pub fn select<'t, E: From<Error>>(
        &'t self,
        wanted: fn(&EventClass) -> bool,
        mut each: impl FnMut(&Item<'t>) -> Result<(), E>,
    ) -> Result<Counts, E> {
        let mut counts = Counts::default();
        std::thread::scope(|scope| {
            let mut heads: Vec<StreamHead<'t>> = Vec::new();
            for path in &self.streams {
                let (send, receive) = sync_channel(MAX_WAITING_BATCHES);
                let (recycle, recycled) = channel();
                scope.spawn(move || {
                    StreamReader::new(&self.metadata, path, wanted, send, recycled).run();
                });
                heads.push(StreamHead {
                    receive,
                    recycle,
                    batch: Vec::new(),
                    index: 0,
                    time: None,
                });
            }
            heads.iter_mut().for_each(|head| head.find_next_item(&mut counts));
            while let Some(first) =
                heads.iter_mut().filter(|head| head.time.is_some()).min_by_key(|head| head.time)
            {
                if let Decoded::Item(item) = &first.batch[first.index] {
                    if let Item::Lost(lost) = item {
                        counts.lost = counts.lost.saturating_add(lost.events);
                        counts.packets = counts.packets.saturating_add(lost.packets);
                    }
                    each(item)?;
                }
                first.index += 1;
                first.find_next_item(&mut counts);
            }
            Ok(counts)
        })
    }
}

/// An event, or a place where events are missing.
#[derive(Clone, Debug)]
pub enum Item<'t> {
    /// An event.
    Event(Event<'t>),
    /// Events are missing here.
    Lost(Lost),
}

/// What is missing in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Events that the tracer dropped.
    pub events: u64,
    /// Whole packets, with an unknown number of events.
    pub packets: u64,
    /// The time before which they are missing.
    pub time: u64,
    /// The stream's CPU, if its packets have it.
    pub cpu: Option<u64>,
}

impl Item<'_> {
    /// Returns the time of the event or gap, in nanoseconds since 1970.
    fn time(&self) -> u64 {
        match self {
            Self::Event(e) => e.time,
            Self::Lost(lost) => lost.time,
        }
    }
}

/// What a decoding thread sends.
enum Decoded<'t> {
    Item(Item<'t>),
    /// The message for damage in the stream.
    Damage(String),
    /// So many bytes were read.
    Bytes(u64),
}

/// The next item of a stream. Batches that are done go back to the thread that made them, which
/// uses their memory again.
struct StreamHead<'t> {
    receive: Receiver<Vec<Decoded<'t>>>,
    recycle: Sender<Vec<Decoded<'t>>>,
    batch: Vec<Decoded<'t>>,
    /// The index in `batch` of the stream's next item.
    index: usize,
    /// The time of that item; `None`: the stream has ended.
    time: Option<u64>,
}

impl StreamHead<'_> {
    /// Advances to the next item at `index` or after it, which may be in the next batch from the
    /// decoding thread, and sets `time`. Adds what is no item to `counts`.
    fn find_next_item(&mut self, counts: &mut Counts) {
        loop {
            match self.batch.get_mut(self.index) {
                Some(Decoded::Item(item)) => {
                    self.time = Some(item.time());
                    return;
                }
                Some(Decoded::Damage(what)) => counts.damage.push(std::mem::take(what)),
                Some(Decoded::Bytes(n)) => counts.bytes += *n,
                None => {
                    let Ok(next) = self.receive.recv() else {
                        self.time = None;
                        return;
                    };
                    let _ended = self.recycle.send(std::mem::replace(&mut self.batch, next));
                    self.index = 0;
                    continue;
                }
            }
            self.index += 1;
        }
    }
}
