//! Operations of libaio. There is no event of an operation's completion, and the program can take
//! it from the context's ring without a call. So the rings of a process are looked at when it
//! leaves the kernel, and before it submits operations, which alone lets the kernel use an event's
//! place again (as in `bpf/aio.bpf.c`).

use super::steps::vectors::{IOCB_SIZE, MAX_VECTORS, read_iocbs};
use super::steps::{CallAtStop, Scratch};
use crate::inspect::memory::{read, read_u64};
use crate::options::NUMBER_LIMIT;
use crate::plans::{AioMeaning, Plans, aio_meaning};
use crate::records::{EntryPayloads, EntrySink, RecordSize, RecordWriter, monotonic_ns};
use abi::{AIO, SqeField};
use std::collections::HashMap;
use trace::record::{Header, NO_EXIT, RecordKind, TAKEN};

/// The size in bytes of `struct io_event`.
const IO_EVENT_SIZE: usize = 32;
/// `struct aio_ring` begins with this many bytes; the number of events is at byte 4, the head at 8,
/// the tail at 12, the magic number at 16, the length of the header at 28 (fs/aio.c).
const RING_HEADER_SIZE: usize = 32;
const RING_MAGIC: u32 = 0xa10a_10a1;
/// The most events that a ring may have.
const MAX_EVENTS: u32 = 1 << 20;

/// What operations are captured with.
pub(super) struct Sinks<'a> {
    pub plans: &'a Plans,
    pub scratch: &'a mut Scratch,
    pub out: &'a mut RecordWriter,
}

/// An operation that is under way.
struct PendingOperation {
    /// The header of its record.
    header: Header,
    /// The index of its capture plan.
    plan: u32,
    /// What was captured when it was submitted; `None`: the call that submits it has not returned.
    payloads: Option<EntryPayloads>,
}

/// A context of libaio.
struct Context {
    /// The address of its ring.
    address: u64,
    /// How many events of the ring were seen.
    seen_events: u64,
}

/// The place of an event in a ring.
#[derive(Clone, Copy)]
struct EventPlace {
    /// The address of the ring.
    ring: u64,
    /// The event's index in it.
    index: u32,
}

/// A completion: which operation has completed, and its result.
struct Completion {
    /// The address of the operation's `struct iocb`.
    iocb: u64,
    result: i64,
}

#[derive(Default)]
struct Process {
    contexts: Vec<Context>,
    /// Operations that are under way, by the address of their `struct iocb`.
    operations: HashMap<u64, PendingOperation>,
}

/// The contexts and operations of all processes.
pub(super) struct AioTracker {
    /// What each call means to contexts, by number.
    meanings: Vec<Option<AioMeaning>>,
    processes: HashMap<i32, Process>,
    /// The calls under way that use contexts, by thread.
    calls: HashMap<i32, (AioMeaning, [u64; 6])>,
}

/// A ring as it was when it was looked at.
struct Ring {
    head: u32,
    tail: u32,
    events: u32,
    header: u32,
}

impl Ring {
    /// Reads the ring at `address`. Returns `None` if there is none.
    fn read(tid: i32, address: u64) -> Option<Self> {
        let mut bytes = [0; RING_HEADER_SIZE];
        if read(tid, address, &mut bytes) < RING_HEADER_SIZE {
            return None;
        }
        let word = |offset: usize| {
            u32::from_ne_bytes([
                bytes[offset],
                bytes[offset + 1],
                bytes[offset + 2],
                bytes[offset + 3],
            ])
        };
        let events = word(4);
        ((1..=MAX_EVENTS).contains(&events) && word(16) == RING_MAGIC).then(|| Self {
            head: word(8) % events,
            tail: word(12) % events,
            events,
            header: word(28),
        })
    }

    /// Returns whether the program may have taken the event with this index: it is not between head
    /// and tail.
    fn is_taken(&self, index: u32) -> bool {
        let after_head = |index: u32| (index + self.events - self.head) % self.events;
        after_head(index) >= after_head(self.tail)
    }
}

/// Decodes a `struct io_event`. Returns `None` if the bytes are too few.
fn decode_event(bytes: &[u8]) -> Option<Completion> {
    let word =
        |offset: usize| bytes.get(offset..offset + 8)?.try_into().ok().map(u64::from_ne_bytes);
    Some(Completion { iocb: word(8)?, result: word(16)? as i64 })
}

/// Returns the argument of an operation that comes from this field of its `struct iocb`.
fn argument(iocb: &[u8], field: SqeField) -> u64 {
    let word = |offset: usize| {
        iocb.get(offset..offset + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
    };
    match field {
        SqeField::Fd => word(20) & 0xffff_ffff,
        SqeField::Off => word(40),
        SqeField::Addr => word(24),
        SqeField::Len => word(32),
        SqeField::OpFlags => word(8) >> 32,
        _ => 0,
    }
}

impl AioTracker {
    /// Creates a tracker that knows no context.
    pub fn new() -> Self {
        Self {
            meanings: (0..NUMBER_LIMIT).map(aio_meaning).collect(),
            processes: HashMap::new(),
            calls: HashMap::new(),
        }
    }

    /// Handles the entry of a call. Returns whether its exit has to be handled, too.
    pub fn enter_call(
        &mut self,
        tid: i32,
        pid: i32,
        number: u64,
        args: &[u64; 6],
        sinks: &mut Sinks<'_>,
    ) -> bool {
        let meaning = usize::try_from(number).ok().and_then(|n| *self.meanings.get(n)?);
        let Some(meaning) = meaning else { return false };
        match meaning {
            AioMeaning::Submit => {
                self.read_rings(tid, pid, sinks);
                self.begin_operations(tid, pid, args, sinks);
            }
            AioMeaning::Destroy => self.read_rings(tid, pid, sinks),
            AioMeaning::LastLook => {
                self.read_rings(tid, pid, sinks);
                return false;
            }
            _ => {}
        }
        self.calls.insert(tid, (meaning, *args));
        true
    }

    /// Handles the exit of a call.
    pub fn leave_call(&mut self, tid: i32, pid: i32, ret: i64, sinks: &mut Sinks<'_>) {
        if self.processes.is_empty() && self.calls.is_empty() {
            return;
        }
        match self.calls.remove(&tid) {
            Some((AioMeaning::Create, args)) => {
                if let Some(address) = read_u64(tid, args[1]).filter(|_| ret == 0) {
                    self.add_context(pid, address, 0);
                }
                return;
            }
            Some((AioMeaning::Submit, args)) => self.end_submission(tid, pid, ret, &args, sinks),
            Some((AioMeaning::Reap, args)) if ret > 0 => {
                let mut events = vec![0; IO_EVENT_SIZE * (ret as usize).min(MAX_EVENTS as usize)];
                let read_bytes = read(tid, args[3], &mut events);
                let completions =
                    events[..read_bytes].chunks_exact(IO_EVENT_SIZE).filter_map(decode_event);
                for completion in completions {
                    self.complete(tid, pid, &completion, None, sinks);
                }
            }
            Some((AioMeaning::Destroy, args)) if ret == 0 => {
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.contexts.retain(|c| c.address != args[0]);
                }
            }
            _ => {}
        }
        self.read_rings(tid, pid, sinks);
    }

    /// Writes records of the operations whose completions are in the rings of a process and were
    /// not seen before. Its thread `tid` is stopped.
    pub fn read_rings(&mut self, tid: i32, pid: i32, sinks: &mut Sinks<'_>) {
        let contexts = self.processes.get(&pid).map_or(0, |process| process.contexts.len());
        for context in 0..contexts {
            while let Some((completion, place)) = self.next_event(tid, pid, context) {
                self.complete(tid, pid, &completion, Some(place), sinks);
            }
        }
    }

    /// Returns the next event of the context with this index, and its place. Returns `None` if all
    /// events were seen, or the ring cannot be read.
    fn next_event(
        &mut self,
        tid: i32,
        pid: i32,
        context: usize,
    ) -> Option<(Completion, EventPlace)> {
        let context = self.processes.get_mut(&pid)?.contexts.get_mut(context)?;
        let ring = Ring::read(tid, context.address)?;
        let index = (context.seen_events % u64::from(ring.events)) as u32;
        if index == ring.tail {
            return None;
        }
        let mut bytes = [0; IO_EVENT_SIZE];
        let address =
            context.address + u64::from(ring.header) + u64::from(index) * IO_EVENT_SIZE as u64;
        if read(tid, address, &mut bytes) < IO_EVENT_SIZE {
            return None;
        }
        context.seen_events += 1;
        Some((decode_event(&bytes)?, EventPlace { ring: context.address, index }))
    }

    /// Remembers a context, unless it is known. Its first `seen_events` belong to operations that
    /// are not recorded.
    fn add_context(&mut self, pid: i32, address: u64, seen_events: u64) {
        let contexts = &mut self.processes.entry(pid).or_default().contexts;
        if !contexts.iter().any(|c| c.address == address) {
            contexts.push(Context { address, seen_events });
        }
    }

    /// Remembers the operations that a call is about to submit.
    fn begin_operations(&mut self, tid: i32, pid: i32, args: &[u64; 6], sinks: &mut Sinks<'_>) {
        if let Some(ring) = Ring::read(tid, args[0]) {
            self.add_context(pid, args[0], u64::from(ring.tail));
        }
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let now = monotonic_ns();
        let count = usize::try_from(args[1] as i64).unwrap_or(0).min(MAX_VECTORS as usize);
        let iocbs = &mut sinks.scratch.bytes;
        let addresses = read_iocbs(tid, args[2], count, iocbs);
        for ((address, iocb), i) in addresses.iter().zip(iocbs.chunks_exact(IOCB_SIZE)).zip(0..) {
            let opcode = u32::from(u16::from_ne_bytes([iocb[16], iocb[17]]));
            let plan = sinks.plans.by_aio_opcode().get(opcode as usize).copied().flatten();
            let Some(plan) = plan else { continue };
            let row = abi::by_number(AIO + opcode);
            let fields = row.and_then(|r| r.operation).map_or(&[][..], |o| o.fields);
            let mut header = Header {
                kind: RecordKind::Call as u8,
                pid: pid as u32,
                tid: tid as u32,
                nr: AIO + opcode,
                entered: now + i,
                ..Header::default()
            };
            for (to, field) in header.args.iter_mut().zip(fields) {
                *to = argument(iocb, *field);
            }
            let operation = PendingOperation { header, plan, payloads: None };
            if let Some(old) = process.operations.insert(*address, operation) {
                // Its completion was not seen, and the program uses the `struct iocb` again.
                write_unfinished(&old, sinks.out);
            }
        }
    }

    /// Handles the return of a call that submitted operations: captures the input of the first
    /// `ret` of them, and forgets the others, which the kernel did not accept.
    fn end_submission(
        &mut self,
        tid: i32,
        pid: i32,
        ret: i64,
        args: &[u64; 6],
        sinks: &mut Sinks<'_>,
    ) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let count = usize::try_from(args[1] as i64).unwrap_or(0).min(MAX_VECTORS as usize);
        let accepted = usize::try_from(ret).unwrap_or(0);
        let addresses = read_iocbs(tid, args[2], count, &mut sinks.scratch.bytes);
        for (i, address) in addresses.iter().enumerate() {
            if i >= accepted {
                process.operations.remove(address);
            } else if let Some(operation) = process.operations.get_mut(address) {
                capture_input(tid, operation, sinks);
            }
        }
    }

    /// Writes the record of an operation that has completed. `place` is that of its event; `None`:
    /// the current call returns the event.
    fn complete(
        &mut self,
        tid: i32,
        pid: i32,
        &Completion { iocb, result }: &Completion,
        place: Option<EventPlace>,
        sinks: &mut Sinks<'_>,
    ) {
        let process = self.processes.get_mut(&pid);
        let Some(mut operation) = process.and_then(|p| p.operations.remove(&iocb)) else { return };
        let is_late = operation.payloads.is_none();
        capture_input(tid, &mut operation, sinks);
        let steps = &sinks.plans.get(operation.plan).exit;
        let args = operation.header.args;
        let call = CallAtStop { tid, pid, args: &args, result: Some(result) };
        let mut header = Header { left: monotonic_ns(), ret: result, ..operation.header };
        let mut exit_payloads = EntryPayloads::default();
        let mut sink = EntrySink { kept: &mut exit_payloads, out: sinks.out, header };
        call.capture(steps, sinks.scratch, &mut sink);
        // Other threads of the program run meanwhile, so the ring is read after the data.
        let reads_memory = is_late || !steps.is_empty();
        if let Some(EventPlace { ring, index }) = place.filter(|_| reads_memory)
            && Ring::read(tid, ring).is_none_or(|ring| ring.is_taken(index))
        {
            header.flags |= TAKEN;
        }
        sinks.out.begin(header, RecordSize::Small);
        if let Some(payloads) = &operation.payloads {
            payloads.put_into(sinks.out);
        }
        exit_payloads.put_into(sinks.out);
        sinks.out.end();
    }

    /// Forgets a process that begins another program or has ended, and writes records of its
    /// operations whose completions were not seen.
    pub fn forget_process(&mut self, pid: i32, out: &mut RecordWriter) {
        if let Some(process) = self.processes.remove(&pid) {
            process.operations.values().for_each(|operation| write_unfinished(operation, out));
        }
    }

    /// Writes records of the operations that are under way.
    pub fn finish(&mut self, out: &mut RecordWriter) {
        for process in std::mem::take(&mut self.processes).into_values() {
            process.operations.values().for_each(|operation| write_unfinished(operation, out));
        }
    }
}

/// Captures what an operation reads from the program's memory, unless that was done.
fn capture_input(tid: i32, operation: &mut PendingOperation, sinks: &mut Sinks<'_>) {
    if operation.payloads.is_some() {
        return;
    }
    let mut kept = EntryPayloads::default();
    let mut sink = EntrySink { kept: &mut kept, out: sinks.out, header: operation.header };
    let args = operation.header.args;
    CallAtStop { tid, pid: operation.header.pid as i32, args: &args, result: None }.capture(
        &sinks.plans.get(operation.plan).entry,
        sinks.scratch,
        &mut sink,
    );
    operation.payloads = Some(kept);
}

/// Writes the record of an operation whose completion was not seen.
fn write_unfinished(operation: &PendingOperation, out: &mut RecordWriter) {
    let header = Header { flags: NO_EXIT, left: operation.header.entered, ..operation.header };
    out.begin(header, RecordSize::Small);
    if let Some(payloads) = &operation.payloads {
        payloads.put_into(out);
    }
    out.end();
}
