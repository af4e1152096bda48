//! Reads the packets of all streams, with a thread for each stream, and merges their events by
//! time.

use super::decode::{Bits, Scopes};
use super::layout::{EventClass, Metadata, StreamClass};
use super::tsdl;
use super::value::{Event, Value};
use crate::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

const MAGIC: u64 = 0xc1fc_1fc1;
/// The most bytes that a packet's header and context take.
const HEADER_MAX: u64 = 64 << 10;
/// The longest packet.
const MAX_PACKET: u64 = 256 << 20;
/// The longest metadata.
const MAX_METADATA: u64 = 256 << 20;
/// How many events a thread hands over at once, and how many such batches may wait.
const BATCH: usize = 1024;
const WAITING: usize = 4;
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
                let (send, receive) = sync_channel(WAITING);
                let (recycle, recycled) = channel();
                scope.spawn(move || {
                    let mut reader = StreamReader {
                        metadata: &self.metadata,
                        path,
                        wanted,
                        first: true,
                        send,
                        recycled,
                        batch: Vec::new(),
                        lost: None,
                        number: None,
                    };
                    if let Err(e) = reader.decode_file() {
                        let _gone = reader.push_item(Decoded::Damage(e));
                    }
                    let _gone = reader.send_batch();
                });
                heads.push(StreamHead { receive, recycle, batch: Vec::new(), at: 0, time: None });
            }
            heads.iter_mut().for_each(|h| h.fill(&mut counts));
            while let Some(first) =
                heads.iter_mut().filter(|h| h.time.is_some()).min_by_key(|h| h.time)
            {
                if let Decoded::Item(item) = &first.batch[first.at] {
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

enum Decoded<'t> {
    Item(Item<'t>),
    Damage(String),
    Bytes(u64),
}

/// The next item of a stream. Batches that are done go back to the thread that made them, which
/// uses their memory again.
struct StreamHead<'t> {
    receive: Receiver<Vec<Decoded<'t>>>,
    recycle: Sender<Vec<Decoded<'t>>>,
    batch: Vec<Decoded<'t>>,
    at: usize,
    /// Of the item at `at`; `None`: the stream has ended.
    time: Option<u64>,
}

impl StreamHead<'_> {
    /// Advances to the next item, which may be in the next batch from the decoding thread.
    fn fill(&mut self, counts: &mut Counts) {
        loop {
            match self.batch.get_mut(self.at) {
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
    wanted: fn(&EventClass) -> bool,
    /// No event was given yet.
    first: bool,
    send: SyncSender<Vec<Decoded<'a>>>,
    recycled: Receiver<Vec<Decoded<'a>>>,
    batch: Vec<Decoded<'a>>,
    /// The number of lost events in the last packet.
    lost: Option<u64>,
    /// The number of the last packet.
    number: Option<u64>,
}

impl<'a> StreamReader<'a> {
    /// Adds an item to the batch, and sends the batch if it is full.
    fn push_item(&mut self, item: Decoded<'a>) -> Result<(), String> {
        self.batch.push(item);
        if self.batch.len() >= BATCH { self.send_batch() } else { Ok(()) }
    }
    /// Sends the batch to the reader, and starts a new one. Fails if the reader has stopped.
    fn send_batch(&mut self) -> Result<(), String> {
        let mut next = self.recycled.try_recv().unwrap_or_default();
        next.clear();
        let batch = std::mem::replace(&mut self.batch, next);
        self.send.send(batch).map_err(|_| "the reader stopped".to_owned())
    }

    /// Returns the message for damage of this stream at byte `at`.
    fn damage_message(&self, at: u64, what: &str) -> String {
        format!("{} is damaged at byte {at}: {what}", self.path.display())
    }

    /// Decodes the stream's file, packet by packet, and sends what it holds. Returns a message if
    /// the file is damaged from some packet on.
    fn decode_file(&mut self) -> Result<(), String> {
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
            let short = read(HEADER_MAX / 16).map_err(|e| self.damage_message(at, &e))?;
            let packet = match self.read_packet_header(&short, clock) {
                Ok(packet) => packet,
                Err(_) => {
                    let long = read(HEADER_MAX).map_err(|e| self.damage_message(at, &e))?;
                    self.read_packet_header(&long, clock)
                        .map_err(|e| self.damage_message(at, &e))?
                }
            };
            let size = packet.size.unwrap_or((whole - at) * 8) / 8;
            if size == 0 || size > MAX_PACKET {
                return Err(self.damage_message(at, "a packet of impossible length"));
            }
            let bytes = read(size).map_err(|e| self.damage_message(at, &e))?;
            let missing = self.count_missing_packets(&packet);
            if missing > 0 {
                self.push_lost(0, missing, packet.begin.unwrap_or(clock), packet.cpu)?;
            }
            if let Err(what) = self.decode_events(&bytes, &packet, &mut clock) {
                self.push_item(Decoded::Damage(self.damage_message(at, &what)))?;
                self.push_lost(0, 1, clock, packet.cpu)?;
            } else if (bytes.len() as u64) < size {
                self.push_item(Decoded::Damage(
                    self.damage_message(at, "the file ends within this packet"),
                ))?;
            }
            self.push_item(Decoded::Bytes(bytes.len() as u64))?;
            at += size;
        }
        Ok(())
    }

    /// Returns how many packets are missing before this one, by its sequence number.
    fn count_missing_packets(&mut self, packet: &Packet<'a>) -> u64 {
        let Some(number) = packet.number else { return 0 };
        let expected = self.number.replace(number).map_or(0, |n| n.saturating_add(1));
        number.saturating_sub(expected)
    }

    /// Adds a gap: so many `events` or `packets` are missing before this reading of the clock.
    fn push_lost(
        &mut self,
        events: u64,
        packets: u64,
        clock: u64,
        cpu: Option<u64>,
    ) -> Result<(), String> {
        let time = self.to_nanos(clock);
        self.push_item(Decoded::Item(Item::Lost(Lost { events, packets, time, cpu })))
    }

    /// Reads a packet's header and context.
    fn read_packet_header(&self, bytes: &[u8], clock: u64) -> Result<Packet<'a>, String> {
        let mut bits = Bits::new(bytes, clock);
        let metadata: &'a Metadata = self.metadata;
        let header = match &metadata.packet_header {
            Some(kind) => bits.read_value(kind, &mut Vec::new())?,
            None => EMPTY,
        };
        if header.get("magic").and_then(Value::to_register).is_some_and(|m| m != MAGIC) {
            return Err("not a packet".to_owned());
        }
        let id = header.get("stream_id").and_then(Value::to_register).unwrap_or(0);
        let stream = metadata
            .streams
            .get(&id)
            .ok_or_else(|| format!("a packet of the unknown stream {id}"))?;
        bits.begin_event();
        let context = match &stream.packet {
            Some(kind) => bits.read_value(kind, &mut Vec::new())?,
            None => EMPTY,
        };
        let number = |name: &str| context.get(name).and_then(Value::to_register);
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

    /// Converts a reading of the clock to nanoseconds since 1970.
    fn to_nanos(&self, clock: u64) -> u64 {
        let ticks = i128::from(clock) * 1_000_000_000 / i128::from(self.metadata.frequency);
        u64::try_from(ticks + self.metadata.offset).unwrap_or(0)
    }

    /// Decodes the events of a packet. Adds a gap if the packet's counter says that events were
    /// dropped.
    fn decode_events(
        &mut self,
        bytes: &[u8],
        packet: &Packet<'a>,
        clock: &mut u64,
    ) -> Result<(), String> {
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
                self.push_lost(new, 0, packet.begin.unwrap_or(*clock), packet.cpu)?;
            }
        }
        let header = packet.stream.header.as_ref().ok_or("events without a header")?;
        let mut scopes = Scopes::new();
        while bits.at < bits.end {
            let before = bits.at;
            bits.begin_event();
            let id = bits.read_header(header, &mut scopes)?.ok_or("an event without a number")?;
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
                        .map_or(Ok(EMPTY), |t| bits.read_value(t, &mut scopes))
                };
                let (context, _, fields) = (part()?, part()?, part()?);
                let time = self.to_nanos(bits.clock);
                self.push_item(Decoded::Item(Item::Event(Event {
                    time,
                    cpu: packet.cpu,
                    kind,
                    context,
                    fields,
                })))?;
            } else {
                parts.flatten().try_for_each(|t| bits.skip(t, &mut scopes))?;
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
    stream: &'a StreamClass,
    start: u64,
    begin: Option<u64>,
    end: Option<u64>,
    content: Option<u64>,
    size: Option<u64>,
    lost: Option<u64>,
    cpu: Option<u64>,
    number: Option<u64>,
}
