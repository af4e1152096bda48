//! Decodes the packets of one stream, and sends their events.

use super::{Decoded, Item, Lost};
use crate::ctf::decode::{Bits, Scopes};
use crate::ctf::layout::{EventClass, Metadata, StreamClass};
use crate::ctf::value::{Event, Value};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender};

const MAGIC: u64 = 0xc1fc_1fc1;
/// The most bytes that a packet's header and context take.
const HEADER_MAX: u64 = 64 << 10;
/// The longest packet.
const MAX_PACKET: u64 = 256 << 20;
/// How many events are sent at once.
const BATCH: usize = 1024;

/// A stream that is being decoded.
pub(super) struct StreamReader<'a> {
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
    /// Returns a reader of the file `path` for the events of the `wanted` classes. It sends batches
    /// of them, and receives those that are done.
    pub fn new(
        metadata: &'a Metadata,
        path: &'a Path,
        wanted: fn(&EventClass) -> bool,
        send: SyncSender<Vec<Decoded<'a>>>,
        recycled: Receiver<Vec<Decoded<'a>>>,
    ) -> Self {
        let (batch, lost, number) = (Vec::new(), None, None);
        Self { metadata, path, wanted, first: true, send, recycled, batch, lost, number }
    }

    /// Decodes the stream to its end, or until nobody receives.
    pub fn run(mut self) {
        if let Err(e) = self.decode_file() {
            let _gone = self.push_item(Decoded::Damage(e));
        }
        let _gone = self.send_batch();
    }

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
