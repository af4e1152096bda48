//! Operations of libaio. There is no event of an operation's completion, and the program can take
//! it from the context's ring without a call. So the rings of a process are looked at when it
//! leaves the kernel, and before it submits operations, which alone lets the kernel use an event's
//! place again (as in `bpf/aio.bpf.c`).

use super::steps::vectors::{IOCB, MAX_VECTORS, read_control_blocks};
use super::steps::{CallAtStop, Scratch};
use crate::inspect::memory::{read, read_u64};
use crate::options::NUMBER_LIMIT;
use crate::plans::{AioMeaning, Plans, aio_meaning};
use crate::records::{EntryPayloads, EntrySink, RecordSize, RecordWriter, monotonic_ns};
use abi::{AIO, SqeField};
use std::collections::HashMap;
use trace::record::{Header, NO_EXIT, RecordKind, TAKEN};

/// The size in bytes of `struct io_event`.
const EVENT: usize = 32;
/// `struct aio_ring` begins with this many bytes; the number of events is at byte 4, the head at 8,
/// the tail at 12, the magic number at 16, the length of the header at 28 (fs/aio.c).
const RING: usize = 32;
const RING_MAGIC: u32 = 0xa10a_10a1;
/// No ring has more events.
const MAX_EVENTS: u32 = 1 << 20;

/// What operations are captured with.
pub(super) struct Sinks<'a> {
    pub plans: &'a Plans,
    pub scratch: &'a mut Scratch,
    pub out: &'a mut RecordWriter,
}

/// An operation that is under way.
struct Block {
    header: Header,
    plan: u32,
    /// What was captured when it was submitted; `None`: the call that submits it has not returned.
    payloads: Option<EntryPayloads>,
}

/// A context: where its ring is, and how many events of it were seen.
struct Context {
    address: u64,
    seen: u64,
}

#[derive(Default)]
struct Process {
    contexts: Vec<Context>,
    /// Operations that are under way, by the addresses of their blocks.
    blocks: HashMap<u64, Block>,
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
        let mut bytes = [0; RING];
        if read(tid, address, &mut bytes) < RING {
            return None;
        }
        let word = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let events = word(4);
        ((1..=MAX_EVENTS).contains(&events) && word(16) == RING_MAGIC).then(|| Self {
            head: word(8) % events,
            tail: word(12) % events,
            events,
            header: word(28),
        })
    }

    /// Returns whether the program may have taken the event at this place.
    fn is_taken(&self, at: u32) -> bool {
        let after_head = |place: u32| (place + self.events - self.head) % self.events;
        after_head(at) >= after_head(self.tail)
    }
}

/// Decodes the object and the result of a `struct io_event`.
fn event(bytes: &[u8]) -> Option<(u64, i64)> {
    let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
    Some((word(8)?, word(16)? as i64))
}

/// Returns the argument that comes from this field, for the block with these bytes
/// (`struct iocb`).
fn argument(block: &[u8], field: SqeField) -> u64 {
    let word = |at: usize| {
        block.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
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
    /// Makes a tracker that knows no context.
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
                self.look(tid, pid, sinks);
                self.begin_blocks(tid, pid, args, sinks);
            }
            AioMeaning::Destroy => self.look(tid, pid, sinks),
            AioMeaning::LastLook => {
                self.look(tid, pid, sinks);
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
                let mut events = vec![0; EVENT * (ret as usize).min(MAX_EVENTS as usize)];
                let got = read(tid, args[3], &mut events);
                for (block, result) in events[..got].chunks_exact(EVENT).filter_map(event) {
                    self.complete(tid, pid, block, result, None, sinks);
                }
            }
            Some((AioMeaning::Destroy, args)) if ret == 0 => {
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.contexts.retain(|c| c.address != args[0]);
                }
            }
            _ => {}
        }
        self.look(tid, pid, sinks);
    }

    /// Looks at the rings of a process of which a thread is stopped.
    pub fn look(&mut self, tid: i32, pid: i32, sinks: &mut Sinks<'_>) {
        let contexts = self.processes.get(&pid).map_or(0, |process| process.contexts.len());
        for context in 0..contexts {
            while let Some((block, result, ring, at)) = self.next_event(tid, pid, context) {
                self.complete(tid, pid, block, result, Some((ring, at)), sinks);
            }
        }
    }

    /// Returns the next event of a context, its ring and its place: the block and the result.
    fn next_event(&mut self, tid: i32, pid: i32, context: usize) -> Option<(u64, i64, u64, u32)> {
        let context = self.processes.get_mut(&pid)?.contexts.get_mut(context)?;
        let ring = Ring::read(tid, context.address)?;
        let at = (context.seen % u64::from(ring.events)) as u32;
        if at == ring.tail {
            return None;
        }
        let mut bytes = [0; EVENT];
        let place = context.address + u64::from(ring.header) + u64::from(at) * EVENT as u64;
        if read(tid, place, &mut bytes) < EVENT {
            return None;
        }
        context.seen += 1;
        let (block, result) = event(&bytes)?;
        Some((block, result, context.address, at))
    }

    /// Remembers a context, unless it is known. `seen` events belong to operations that are not.
    fn add_context(&mut self, pid: i32, address: u64, seen: u64) {
        let contexts = &mut self.processes.entry(pid).or_default().contexts;
        if !contexts.iter().any(|c| c.address == address) {
            contexts.push(Context { address, seen });
        }
    }

    /// Remembers the operations that a call is about to submit.
    fn begin_blocks(&mut self, tid: i32, pid: i32, args: &[u64; 6], sinks: &mut Sinks<'_>) {
        if let Some(ring) = Ring::read(tid, args[0]) {
            self.add_context(pid, args[0], u64::from(ring.tail));
        }
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let now = monotonic_ns();
        let count = usize::try_from(args[1] as i64).unwrap_or(0).min(MAX_VECTORS as usize);
        let blocks = &mut sinks.scratch.bytes;
        let addresses = read_control_blocks(tid, args[2], count, blocks);
        for ((address, block), i) in addresses.iter().zip(blocks.chunks_exact(IOCB)).zip(0..) {
            let opcode = u32::from(u16::from_ne_bytes([block[16], block[17]]));
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
                *to = argument(block, *field);
            }
            let begun = Block { header, plan, payloads: None };
            if let Some(old) = process.blocks.insert(*address, begun) {
                // Its completion was not seen, and the program uses the block again.
                write_unfinished(&old, sinks.out);
            }
        }
    }

    /// Captures what the operations write that a call has submitted. The kernel did not take those
    /// from `ret` on.
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
        let taken = usize::try_from(ret).unwrap_or(0);
        let addresses = read_control_blocks(tid, args[2], count, &mut sinks.scratch.bytes);
        for (i, address) in addresses.iter().enumerate() {
            if i >= taken {
                process.blocks.remove(address);
            } else if let Some(block) = process.blocks.get_mut(address) {
                capture_input(tid, block, sinks);
            }
        }
    }

    /// Writes the record of an operation that has completed. `event`: the ring and the place of its
    /// event; `None`: the current call returns it.
    fn complete(
        &mut self,
        tid: i32,
        pid: i32,
        address: u64,
        result: i64,
        event: Option<(u64, u32)>,
        sinks: &mut Sinks<'_>,
    ) {
        let process = self.processes.get_mut(&pid);
        let Some(mut block) = process.and_then(|p| p.blocks.remove(&address)) else { return };
        let is_late = block.payloads.is_none();
        capture_input(tid, &mut block, sinks);
        let steps = &sinks.plans.get(block.plan).exit;
        let args = block.header.args;
        let call = CallAtStop { tid, pid, args: &args, result: Some(result) };
        let mut header = Header { left: monotonic_ns(), ret: result, ..block.header };
        let mut exit_payloads = EntryPayloads::default();
        let mut sink = EntrySink { kept: &mut exit_payloads, out: sinks.out, header };
        call.capture(steps, sinks.scratch, &mut sink);
        // Other threads of the program run meanwhile, so the ring is read after the data.
        let reads_memory = is_late || !steps.is_empty();
        if let Some((ring, at)) = event.filter(|_| reads_memory)
            && Ring::read(tid, ring).is_none_or(|ring| ring.is_taken(at))
        {
            header.flags |= TAKEN;
        }
        sinks.out.begin(header, RecordSize::Small);
        if let Some(payloads) = &block.payloads {
            payloads.put_into(sinks.out);
        }
        exit_payloads.put_into(sinks.out);
        sinks.out.end();
    }

    /// Forgets a process that begins another program or has ended, and writes records of its
    /// operations whose completions were not seen.
    pub fn forget_process(&mut self, pid: i32, out: &mut RecordWriter) {
        if let Some(process) = self.processes.remove(&pid) {
            process.blocks.values().for_each(|block| write_unfinished(block, out));
        }
    }

    /// Writes records of the operations that are under way.
    pub fn finish(&mut self, out: &mut RecordWriter) {
        for process in std::mem::take(&mut self.processes).into_values() {
            process.blocks.values().for_each(|block| write_unfinished(block, out));
        }
    }
}

/// Captures what an operation takes from the program's memory, unless that was done.
fn capture_input(tid: i32, block: &mut Block, sinks: &mut Sinks<'_>) {
    if block.payloads.is_some() {
        return;
    }
    let mut kept = EntryPayloads::default();
    let mut sink = EntrySink { kept: &mut kept, out: sinks.out, header: block.header };
    let args = block.header.args;
    CallAtStop { tid, pid: block.header.pid as i32, args: &args, result: None }.capture(
        &sinks.plans.get(block.plan).entry,
        sinks.scratch,
        &mut sink,
    );
    block.payloads = Some(kept);
}

/// Writes the record of an operation whose completion was not seen.
fn write_unfinished(block: &Block, out: &mut RecordWriter) {
    let header = Header { flags: NO_EXIT, left: block.header.entered, ..block.header };
    out.begin(header, RecordSize::Small);
    if let Some(payloads) = &block.payloads {
        payloads.put_into(out);
    }
    out.end();
}
