//! Packets of all streams, decoded by a thread for each stream, and merged by time.

use super::decode::{Around, Bits};
use super::layout::{Kind, Metadata, Stream};
use super::tsdl;
use super::value::{Event, Value};
use crate::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

const MAGIC: u64 = 0xc1fc_1fc1;
/// Bytes in which a packet's header and context must lie.
const HEAD: u64 = 64 << 10;
/// The longest packet.
const PACKET: u64 = 256 << 20;
/// The longest metadata.
const METADATA: u64 = 256 << 20;
/// Events handed over at once, and how many such handfuls wait.
const HANDFUL: usize = 1024;
const WAITING: usize = 4;
/// The most streams: each is read by a thread.
const STREAMS: usize = 1024;
/// Directories looked into, one below the other.
const DEEP: usize = 6;

/// A trace.
pub struct Trace {
    /// What its metadata says.
    pub metadata: Arc<Metadata>,
    streams: Vec<PathBuf>,
    /// Bytes of its streams.
    pub bytes: u64,
}

/// What was read, beside events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that the tracer dropped.
    pub lost: u64,
    /// Packets that the numbers of the others show to be missing, or that are damaged.
    pub packets: u64,
    /// What is wrong with the streams, the first of each.
    pub damage: Vec<String>,
    /// Bytes read.
    pub bytes: u64,
}

/// Whether a directory holds such a trace, or one directory below it does.
pub fn is_ctf(dir: &Path) -> bool {
    !metadata_files(dir, DEEP).is_empty()
}

fn metadata_files(dir: &Path, deep: usize) -> Vec<PathBuf> {
    let here = dir.join("metadata");
    if here.is_file() {
        return vec![here];
    }
    let below = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .filter(|p| deep > 0 && p.is_dir() && !p.is_symlink());
    let mut found: Vec<PathBuf> = below.flat_map(|p| metadata_files(&p, deep - 1)).collect();
    found.sort();
    found
}

impl Trace {
    /// Opens the trace in `dir`, or in the one directory below it that has a kernel trace.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let alien = |what: String| Error::Alien { path: dir.to_owned(), format: "CTF trace", what };
        let found = metadata_files(dir, DEEP);
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
            .and_then(|f| f.take(METADATA).read_to_end(&mut bytes))
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
        if streams.len() > STREAMS {
            return Err(alien(format!(
                "it has {} streams, more than the {STREAMS} that can be read",
                streams.len()
            )));
        }
        let bytes = streams.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
        Ok(Self { metadata: Arc::new(metadata), streams, bytes })
    }

    /// Gives all events in the order of time.
    pub fn read<'t, E: From<Error>>(
        &'t self,
        each: impl FnMut(&Item<'t>) -> Result<(), E>,
    ) -> Result<Counts, E> {
        self.select(|_| true, each)
    }

    /// Gives the events of those kinds that are wanted, and the first of each stream, in the order of time.
    pub fn select<'t, E: From<Error>>(
        &'t self,
        wanted: fn(&Kind) -> bool,
        mut each: impl FnMut(&Item<'t>) -> Result<(), E>,
    ) -> Result<Counts, E> {
        let mut counts = Counts::default();
        std::thread::scope(|scope| {
            let mut heads: Vec<Head<'t>> = Vec::new();
            for path in &self.streams {
                let (send, receive) = sync_channel(WAITING);
                let (give_back, used) = channel();
                scope.spawn(move || {
                    let mut reader = StreamReader {
                        metadata: &self.metadata,
                        path,
                        wanted,
                        first: true,
                        send,
                        used,
                        handful: Vec::new(),
                        lost: None,
                        number: None,
                    };
                    if let Err(e) = reader.run() {
                        let _gone = reader.give(Found::Damage(e));
                    }
                    let _gone = reader.flush();
                });
                heads.push(Head { receive, give_back, handful: Vec::new(), at: 0, time: None });
            }
            heads.iter_mut().for_each(|h| h.fill(&mut counts));
            while let Some(first) =
                heads.iter_mut().filter(|h| h.time.is_some()).min_by_key(|h| h.time)
            {
                if let Found::Item(item) = &first.handful[first.at] {
                    if let Item::Lost(lost) = item {
                        counts.lost = counts.lost.saturating_add(lost.events);
                        counts.packets = counts.packets.saturating_add(lost.packets);
                    }
                    each(item)?;
                }
                first.at += 1;
                first.fill(&mut counts);
            }
            Ok(counts)
        })
    }
}

/// What comes out of a trace.
#[derive(Clone, Debug)]
pub enum Item<'t> {
    /// An event.
    Event(Event<'t>),
    /// Something is missing here.
    Lost(Lost),
}

/// What is missing in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Events that the tracer dropped.
    pub events: u64,
    /// Whole packets, with nobody knows how many events.
    pub packets: u64,
    /// Before when.
    pub time: u64,
    /// The stream's CPU, if it says.
    pub cpu: Option<u64>,
}

impl Item<'_> {
    fn time(&self) -> u64 {
        match self {
            Self::Event(e) => e.time,
            Self::Lost(lost) => lost.time,
        }
    }
}

enum Found<'t> {
    Item(Item<'t>),
    Damage(String),
    Bytes(u64),
}

/// The next item of a stream. What was looked at goes back to the thread that made it, which takes the memory for the next.
struct Head<'t> {
    receive: Receiver<Vec<Found<'t>>>,
    give_back: Sender<Vec<Found<'t>>>,
    handful: Vec<Found<'t>>,
    at: usize,
    /// Of the item at `at`; `None`: the stream has ended.
    time: Option<u64>,
}

impl Head<'_> {
    /// Goes on to the next item, from `at` on.
    fn fill(&mut self, counts: &mut Counts) {
        loop {
            match self.handful.get_mut(self.at) {
                Some(Found::Item(item)) => {
                    self.time = Some(item.time());
                    return;
                }
                Some(Found::Damage(what)) => counts.damage.push(std::mem::take(what)),
                Some(Found::Bytes(n)) => counts.bytes += *n,
                None => {
                    let Ok(next) = self.receive.recv() else {
                        self.time = None;
                        return;
                    };
                    let _ended = self.give_back.send(std::mem::replace(&mut self.handful, next));
                    self.at = 0;
                    continue;
                }
            }
            self.at += 1;
        }
    }
}

struct StreamReader<'a> {
    metadata: &'a Metadata,
    path: &'a Path,
    wanted: fn(&Kind) -> bool,
    /// No event was given yet.
    first: bool,
    send: SyncSender<Vec<Found<'a>>>,
    used: Receiver<Vec<Found<'a>>>,
    handful: Vec<Found<'a>>,
    /// Events lost so far, as the last packet said.
    lost: Option<u64>,
    /// The number of the last packet.
    number: Option<u64>,
}

impl<'a> StreamReader<'a> {
    fn give(&mut self, item: Found<'a>) -> Result<(), String> {
        self.handful.push(item);
        if self.handful.len() >= HANDFUL { self.flush() } else { Ok(()) }
    }
    fn flush(&mut self) -> Result<(), String> {
        let mut next = self.used.try_recv().unwrap_or_default();
        next.clear();
        let handful = std::mem::replace(&mut self.handful, next);
        self.send.send(handful).map_err(|_| "the reader stopped".to_owned())
    }

    fn damaged(&self, at: u64, what: &str) -> String {
        format!("{} is damaged at byte {at}: {what}", self.path.display())
    }

    fn run(&mut self) -> Result<(), String> {
        let mut file = File::open(self.path)
            .map_err(|e| format!("cannot open {}: {e}", self.path.display()))?;
        let whole = file.metadata().map_or(0, |m| m.len());
        let mut at = 0;
        let mut clock = 0;
        while at < whole {
            let mut read = |len: u64| {
                let mut bytes = Vec::new();
                file.seek(SeekFrom::Start(at))
                    .and_then(|_| (&mut file).take(len).read_to_end(&mut bytes))
                    .map(|_| bytes)
                    .map_err(|e| e.to_string())
            };
            // Most heads are short, and a file may have many packets.
            let short = read(HEAD / 16).map_err(|e| self.damaged(at, &e))?;
            let packet = match self.head(&short, clock) {
                Ok(packet) => packet,
                Err(_) => {
                    let long = read(HEAD).map_err(|e| self.damaged(at, &e))?;
                    self.head(&long, clock).map_err(|e| self.damaged(at, &e))?
                }
            };
            let size = packet.size.unwrap_or((whole - at) * 8) / 8;
            if size == 0 || size > PACKET {
                return Err(self.damaged(at, "a packet of impossible length"));
            }
            let bytes = read(size).map_err(|e| self.damaged(at, &e))?;
            let missing = self.before(&packet);
            if missing > 0 {
                self.give_lost(0, missing, packet.begin.unwrap_or(clock), packet.cpu)?;
            }
            if let Err(what) = self.events(&bytes, &packet, &mut clock) {
                self.give(Found::Damage(self.damaged(at, &what)))?;
                self.give_lost(0, 1, clock, packet.cpu)?;
            } else if (bytes.len() as u64) < size {
                self.give(Found::Damage(self.damaged(at, "the file ends within this packet")))?;
            }
            self.give(Found::Bytes(bytes.len() as u64))?;
            at += size;
        }
        Ok(())
    }

    /// How many packets are missing before this one, by its number.
    fn before(&mut self, packet: &Packet<'a>) -> u64 {
        let Some(number) = packet.number else { return 0 };
        let expected = self.number.replace(number).map_or(0, |n| n.saturating_add(1));
        number.saturating_sub(expected)
    }

    fn give_lost(
        &mut self,
        events: u64,
        packets: u64,
        clock: u64,
        cpu: Option<u64>,
    ) -> Result<(), String> {
        let time = self.nanos(clock);
        self.give(Found::Item(Item::Lost(Lost { events, packets, time, cpu })))
    }

    /// What a packet says of itself.
    fn head(&self, bytes: &[u8], clock: u64) -> Result<Packet<'a>, String> {
        let mut bits = Bits::new(bytes, clock);
        let metadata: &'a Metadata = self.metadata;
        let header = match &metadata.packet_header {
            Some(kind) => bits.value(kind, &mut Vec::new())?,
            None => EMPTY,
        };
        if header.get("magic").and_then(Value::register).is_some_and(|m| m != MAGIC) {
            return Err("not a packet".to_owned());
        }
        let id = header.get("stream_id").and_then(Value::register).unwrap_or(0);
        let stream = metadata
            .streams
            .get(&id)
            .ok_or_else(|| format!("a packet of the unknown stream {id}"))?;
        bits.begin();
        let context = match &stream.packet {
            Some(kind) => bits.value(kind, &mut Vec::new())?,
            None => EMPTY,
        };
        let number = |name: &str| context.get(name).and_then(Value::register);
        Ok(Packet {
            stream,
            start: bits.at,
            begin: number("timestamp_begin"),
            end: number("timestamp_end"),
            content: number("content_size"),
            size: number("packet_size"),
            lost: number("events_discarded"),
            cpu: number("cpu_id"),
            number: number("packet_seq_num"),
        })
    }

    fn nanos(&self, clock: u64) -> u64 {
        let ticks = i128::from(clock) * 1_000_000_000 / i128::from(self.metadata.frequency);
        u64::try_from(ticks + self.metadata.offset).unwrap_or(0)
    }

    fn events(&mut self, bytes: &[u8], packet: &Packet<'a>, clock: &mut u64) -> Result<(), String> {
        let mut bits = Bits::new(bytes, packet.begin.unwrap_or(*clock));
        bits.at = packet.start;
        let held = bytes.len() as u64 * 8;
        bits.end = packet.content.unwrap_or(held).min(held);
        if let (Some(now), Some(before)) =
            (packet.lost, self.lost.replace(packet.lost.unwrap_or(0)).or(Some(0)))
        {
            // The counter may have 32 bits on its machine.
            let new = now.wrapping_sub(before)
                & if now < before { u64::from(u32::MAX) } else { u64::MAX };
            if new > 0 {
                self.give_lost(new, 0, packet.begin.unwrap_or(*clock), packet.cpu)?;
            }
        }
        let header = packet.stream.header.as_ref().ok_or("events without a header")?;
        let mut around = Around::new();
        while bits.at < bits.end {
            let before = bits.at;
            bits.begin();
            let id = bits.head(header, &mut around)?.ok_or("an event without a number")?;
            let kind = packet
                .stream
                .events
                .get(&id)
                .ok_or_else(|| format!("an event of the unknown kind {id}"))?;
            let mut parts = [&packet.stream.context, &kind.context, &kind.fields].into_iter();
            if (self.wanted)(kind) || std::mem::take(&mut self.first) {
                let mut part = || {
                    parts
                        .next()
                        .and_then(Option::as_ref)
                        .map_or(Ok(EMPTY), |t| bits.value(t, &mut around))
                };
                let (context, _, fields) = (part()?, part()?, part()?);
                let time = self.nanos(bits.clock);
                self.give(Found::Item(Item::Event(Event {
                    time,
                    cpu: packet.cpu,
                    kind,
                    context,
                    fields,
                })))?;
            } else {
                parts.flatten().try_for_each(|t| bits.skip(t, &mut around))?;
            }
            if bits.at <= before {
                return Err("an event of length 0".to_owned());
            }
        }
        *clock = packet.end.unwrap_or(bits.clock).max(bits.clock);
        Ok(())
    }
}

const EMPTY: Value<'static> = Value::Struct(&[], Vec::new());

struct Packet<'a> {
    stream: &'a Stream,
    start: u64,
    begin: Option<u64>,
    end: Option<u64>,
    content: Option<u64>,
    size: Option<u64>,
    lost: Option<u64>,
    cpu: Option<u64>,
    number: Option<u64>,
}
