//! Perfetto's trace format: packets of `protos/perfetto/trace/trace.proto`, of which only the
//! fields used here are declared.
//!
//! Each process and each thread has a track, each call is a slice with its arguments as
//! annotations, and two counters show the bytes that were read and written a second.

use super::{Format, ResolvedCall, Writer, Written, write_calls};
use ahash::HashSet;
use prost::Message;
use std::io::{self, Write};
use trace::Event;

pub(crate) const FORMAT: Format = Format {
    name: "Perfetto",
    extensions: &["pftrace", "perfetto-trace"],
    export: |trace, to, progress| write_calls(trace, to, true, &mut Perfetto::default(), progress),
};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Trace {
    #[prost(message, repeated, tag = "1")]
    pub packet: Vec<Packet>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Packet {
    #[prost(uint64, optional, tag = "8")]
    pub timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "10")]
    pub trusted_packet_sequence_id: Option<u32>,
    #[prost(message, optional, tag = "11")]
    pub track_event: Option<TrackEvent>,
    #[prost(message, optional, tag = "60")]
    pub track_descriptor: Option<TrackDescriptor>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TrackEvent {
    #[prost(message, repeated, tag = "4")]
    pub debug_annotations: Vec<DebugAnnotation>,
    #[prost(int32, optional, tag = "9")]
    pub kind: Option<i32>,
    #[prost(uint64, optional, tag = "11")]
    pub track_uuid: Option<u64>,
    #[prost(string, repeated, tag = "22")]
    pub categories: Vec<String>,
    #[prost(string, optional, tag = "23")]
    pub name: Option<String>,
    #[prost(int64, optional, tag = "30")]
    pub counter_value: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DebugAnnotation {
    #[prost(uint64, optional, tag = "3")]
    pub uint_value: Option<u64>,
    #[prost(string, optional, tag = "6")]
    pub string_value: Option<String>,
    #[prost(string, optional, tag = "10")]
    pub name: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TrackDescriptor {
    #[prost(uint64, optional, tag = "1")]
    pub uuid: Option<u64>,
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    #[prost(message, optional, tag = "3")]
    pub process: Option<ProcessDescriptor>,
    #[prost(message, optional, tag = "4")]
    pub thread: Option<ThreadDescriptor>,
    #[prost(uint64, optional, tag = "5")]
    pub parent_uuid: Option<u64>,
    #[prost(message, optional, tag = "8")]
    pub counter: Option<CounterDescriptor>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ProcessDescriptor {
    #[prost(int32, optional, tag = "1")]
    pub pid: Option<i32>,
    #[prost(string, optional, tag = "6")]
    pub process_name: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ThreadDescriptor {
    #[prost(int32, optional, tag = "1")]
    pub pid: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub tid: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CounterDescriptor {
    #[prost(string, optional, tag = "6")]
    pub unit_name: Option<String>,
}

const BEGIN: i32 = 1;
const END: i32 = 2;
const COUNTER: i32 = 4;
/// The two counters' tracks; threads and processes have theirs above.
const READ_TRACK: u64 = 1;
const WRITTEN_TRACK: u64 = 2;
const PROCESS: u64 = 1 << 40;
const THREAD: u64 = 2 << 40;
/// The length in nanoseconds of the time windows in which bytes are counted.
const WINDOW_NS: u64 = 10_000_000;

#[derive(Default)]
pub(crate) struct Perfetto {
    /// The tracks that were declared, by their identifiers.
    declared: HashSet<u64>,
    /// The index of the current time window of the counters.
    window: u64,
    /// The bytes read and written in that window.
    window_bytes: [u64; 2],
    /// Whether bytes were counted in the window before.
    was_active: bool,
}

/// Writes a packet of the format.
fn write_packet(packet: Packet, out: &mut dyn Write) -> io::Result<()> {
    // Packets of a trace stand one after the other: each may be a trace of its own.
    out.write_all(
        &Trace { packet: vec![Packet { trusted_packet_sequence_id: Some(1), ..packet }] }
            .encode_to_vec(),
    )
}

/// Writes an event of a track.
fn write_track_event(time: u64, event: TrackEvent, out: &mut dyn Write) -> io::Result<()> {
    write_packet(
        Packet { timestamp: Some(time), track_event: Some(event), ..Packet::default() },
        out,
    )
}

impl Perfetto {
    /// Declares a track, unless it was declared before.
    fn declare_track(
        &mut self,
        descriptor: TrackDescriptor,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if descriptor.uuid.is_some_and(|uuid| self.declared.insert(uuid)) {
            write_packet(Packet { track_descriptor: Some(descriptor), ..Packet::default() }, out)
        } else {
            Ok(())
        }
    }

    /// Declares the tracks of a process and of its thread. Returns the latter's identifier.
    fn declare_thread(&mut self, pid: u32, tid: u32, out: &mut dyn Write) -> io::Result<u64> {
        let (uuid, parent) = (THREAD | u64::from(tid), PROCESS | u64::from(pid));
        let process = ProcessDescriptor { pid: Some(pid as i32), process_name: None };
        let process = TrackDescriptor {
            uuid: Some(parent),
            process: Some(process),
            ..TrackDescriptor::default()
        };
        self.declare_track(process, out)?;
        let thread = ThreadDescriptor { pid: Some(pid as i32), tid: Some(tid as i32) };
        let thread = TrackDescriptor {
            uuid: Some(uuid),
            parent_uuid: Some(parent),
            thread: Some(thread),
            ..TrackDescriptor::default()
        };
        self.declare_track(thread, out)?;
        Ok(uuid)
    }

    /// Adds the bytes that a call moved, and whether it read them, to the throughput counters at
    /// this time. If a new time window begins with it, writes the counters of the last one before.
    fn count_moved(
        &mut self,
        time: u64,
        moved: Option<(u64, bool)>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if time / WINDOW_NS != self.window {
            self.write_counters(out)?;
            self.window = time / WINDOW_NS;
        }
        if let Some((bytes, is_read)) = moved {
            let sum = &mut self.window_bytes[usize::from(!is_read)];
            *sum = sum.saturating_add(bytes);
        }
        Ok(())
    }

    /// Writes the throughput of the current time window, in bytes per second. Writes nothing while
    /// no data are moved.
    fn write_counters(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let is_active = self.window_bytes != [0, 0];
        let [read, written] = self.window_bytes;
        for (uuid, name, bytes) in [(READ_TRACK, "read", read), (WRITTEN_TRACK, "written", written)]
        {
            if !is_active && !self.was_active {
                continue;
            }
            let counter = CounterDescriptor { unit_name: Some("bytes/s".to_owned()) };
            let track = TrackDescriptor {
                uuid: Some(uuid),
                name: Some(name.to_owned()),
                counter: Some(counter),
                ..TrackDescriptor::default()
            };
            self.declare_track(track, out)?;
            let mut write_value = |timestamp, value: u64| {
                let event = TrackEvent {
                    kind: Some(COUNTER),
                    track_uuid: Some(uuid),
                    counter_value: Some(i64::try_from(value).unwrap_or(i64::MAX)),
                    ..TrackEvent::default()
                };
                write_track_event(timestamp, event, out)
            };
            write_value(self.window * WINDOW_NS, bytes.saturating_mul(1_000_000_000 / WINDOW_NS))?;
            write_value((self.window + 1).saturating_mul(WINDOW_NS), 0)?;
        }
        (self.was_active, self.window_bytes) = (is_active, [0, 0]);
        Ok(())
    }
}

impl Writer for Perfetto {
    fn call(&mut self, resolved: &ResolvedCall<'_>, out: &mut dyn Write) -> io::Result<Written> {
        let call = resolved.call;
        let track = self.declare_thread(call.pid, call.tid, out)?;
        let text = |name: &str, value: String| DebugAnnotation {
            name: Some(name.to_owned()),
            string_value: Some(value),
            uint_value: None,
        };
        let mut notes =
            vec![text("arguments", resolved.arguments()), text("result", resolved.result())];
        notes.extend(resolved.path().map(|path| text("path", path)));
        notes.extend(resolved.moved_bytes().map(|(bytes, _)| DebugAnnotation {
            name: Some("bytes".to_owned()),
            string_value: None,
            uint_value: Some(bytes),
        }));
        let begin = TrackEvent {
            kind: Some(BEGIN),
            track_uuid: Some(track),
            name: Some(resolved.name()),
            categories: vec!["syscall".to_owned()],
            debug_annotations: notes,
            counter_value: None,
        };
        write_track_event(call.entered, begin, out)?;
        if let Some(left) = call.exited.filter(|_| call.result().is_some()) {
            let end =
                TrackEvent { kind: Some(END), track_uuid: Some(track), ..TrackEvent::default() };
            write_track_event(left, end, out)?;
            self.count_moved(left, resolved.moved_bytes(), out)?;
        }
        Ok(Written::All)
    }

    fn event(&mut self, event: &Event, out: &mut dyn Write) -> io::Result<()> {
        let Some(name) = super::program_name(event) else { return Ok(()) };
        let process = ProcessDescriptor { pid: Some(event.pid as i32), process_name: Some(name) };
        let uuid = PROCESS | u64::from(event.pid);
        self.declared.insert(uuid);
        let descriptor = TrackDescriptor {
            uuid: Some(uuid),
            process: Some(process),
            ..TrackDescriptor::default()
        };
        write_packet(Packet { track_descriptor: Some(descriptor), ..Packet::default() }, out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.write_counters(out)
    }
}
