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
    /// Whether no event was sent yet.
    is_first: bool,
    send: SyncSender<Vec<Decoded<'a>>>,
    recycled: Receiver<Vec<Decoded<'a>>>,
    batch: Vec<Decoded<'a>>,
    /// The counter of dropped events (`events_discarded`) in the last packet.
    last_dropped: Option<u64>,
    /// The sequence number of the last packet.
    last_packet: Option<u64>,
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
        Self {
            metadata,
            path,
            wanted,
            is_first: true,
            send,
            recycled,
            batch: Vec::new(),
            last_dropped: None,
            last_packet: None,
        }
    }

    /// Decodes the stream to its end, or until the receiver is dropped.
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

    /// Returns the message for damage of this stream's file at this offset.
    fn damage_message(&self, offset: u64, what: &str) -> String {
        format!("{} is damaged at byte {offset}: {what}", self.path.display())
    }

    /// Decodes the stream's file, packet by packet, and sends what it holds. Returns a message if
    /// the file is damaged from some packet on.
    fn decode_file(&mut self) -> Result<(), String> {
        let mut file = File::open(self.path)
            .map_err(|e| format!("cannot open {}: {e}", self.path.display()))?;
        let file_bytes = file.metadata().map_or(0, |m| m.len());
        let mut offset = 0;
        let mut clock = 0;
        while offset < file_bytes {
            let mut read = |len: u64| {
                let mut bytes = Vec::new();
                file.seek(SeekFrom::Start(offset))
                    .and_then(|_| (&mut file).take(len).read_to_end(&mut bytes))
                    .map(|_| bytes)
                    .map_err(|e| e.to_string())
            };
            // Most headers are short, and a file may have many packets.
            let short = read(HEADER_MAX / 16).map_err(|e| self.damage_message(offset, &e))?;
            let packet = match self.read_packet_header(&short, clock) {
                Ok(packet) => packet,
                Err(_) => {
                    let long = read(HEADER_MAX).map_err(|e| self.damage_message(offset, &e))?;
                    self.read_packet_header(&long, clock)
                        .map_err(|e| self.damage_message(offset, &e))?
                }
            };
            let size = packet.size.unwrap_or((file_bytes - offset) * 8) / 8;
            if size == 0 || size > MAX_PACKET {
                return Err(self.damage_message(offset, "a packet of impossible length"));
            }
            let bytes = read(size).map_err(|e| self.damage_message(offset, &e))?;
            let missing = self.count_missing_packets(&packet);
            if missing > 0 {
                self.push_lost(0, missing, packet.begin.unwrap_or(clock), packet.cpu)?;
            }
            if let Err(what) = self.decode_events(&bytes, &packet, &mut clock) {
                self.push_item(Decoded::Damage(self.damage_message(offset, &what)))?;
                self.push_lost(0, 1, clock, packet.cpu)?;
            } else if (bytes.len() as u64) < size {
                self.push_item(Decoded::Damage(
                    self.damage_message(offset, "the file ends within this packet"),
                ))?;
            }
            self.push_item(Decoded::Bytes(bytes.len() as u64))?;
            offset += size;
        }
        Ok(())
    }

    /// Returns how many packets are missing before this one, by its sequence number.
    fn count_missing_packets(&mut self, packet: &Packet<'a>) -> u64 {
        let Some(number) = packet.sequence_number else { return 0 };
        let expected = self.last_packet.replace(number).map_or(0, |n| n.saturating_add(1));
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

    /// Reads a packet's header and context. Fails if `bytes` are too few, or it is no packet.
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
            events_start: bits.position,
            begin: number("timestamp_begin"),
            end: number("timestamp_end"),
            content_size: number("content_size"),
            size: number("packet_size"),
            dropped: number("events_discarded"),
            cpu: number("cpu_id"),
            sequence_number: number("packet_seq_num"),
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
        bits.position = packet.events_start;
        let packet_bits = bytes.len() as u64 * 8;
        bits.end = packet.content_size.unwrap_or(packet_bits).min(packet_bits);
        if let (Some(now), Some(before)) =
            (packet.dropped, self.last_dropped.replace(packet.dropped.unwrap_or(0)).or(Some(0)))
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
        while bits.position < bits.end {
            let before = bits.position;
            bits.begin_event();
            let id = bits.read_header(header, &mut scopes)?.ok_or("an event without a number")?;
            let kind = packet
                .stream
                .events
                .get(&id)
                .ok_or_else(|| format!("an event of the unknown kind {id}"))?;
            let mut parts = [&packet.stream.context, &kind.context, &kind.fields].into_iter();
            if (self.wanted)(kind) || std::mem::take(&mut self.is_first) {
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
            if bits.position <= before {
                return Err("an event of length 0".to_owned());
            }
        }
        *clock = packet.end.unwrap_or(bits.clock).max(bits.clock);
        Ok(())
    }
}

const EMPTY: Value<'static> = Value::Struct(&[], Vec::new());

/// The header and context of a packet (CTF 1.8, 5). What the trace lacks is `None`.
struct Packet<'a> {
    stream: &'a StreamClass,
    /// The offset in bits of its first event.
    events_start: u64,
    /// The readings of the clock at its beginning and end.
    begin: Option<u64>,
    end: Option<u64>,
    /// Its size in bits without padding.
    content_size: Option<u64>,
    /// Its size in bits.
    size: Option<u64>,
    /// How many events of the stream were dropped until its end.
    dropped: Option<u64>,
    cpu: Option<u64>,
    sequence_number: Option<u64>,
}
