//! The capture plans ([`crate::plans::Plans`]) in the form of the probe's maps.

use crate::Options;
use crate::ebpf::skel::EngineSkel;
use crate::ebpf::skel::types;
use crate::ebpf::skel::uring::types::opcode;
use crate::options::NUMBER_LIMIT;
use crate::plans::{LimitedStep, Plans, aio_meaning};
use abi::plan::{NONE, StepKind};
use abi::{AIO, Arg, Kind, Ret, SqeField, URING};
use libbpf_rs::{MapCore, MapFlags};

/// The contents of the maps. Plan 0 stands for calls that are not recorded.
pub(super) struct Tables {
    pub plans: Vec<types::plan>,
    pub numbers: Vec<types::number>,
    pub variants: Vec<(types::variant, u32)>,
    /// The plan of numbers that are not in the table.
    pub beyond: u32,
    /// The plan that captures nothing but the registers.
    pub unknown: u32,
    /// The operations of io_uring, by opcode.
    pub opcodes: Vec<opcode>,
    /// The operations of libaio, by opcode.
    pub aio_opcodes: Vec<opcode>,
}

/// The most steps of a plan at one end of a call.
const STEPS: usize = 8;

/// Converts a step.
fn step(limited: &LimitedStep) -> types::step {
    let s = limited.step;
    types::step {
        what: s.kind as u8,
        when: s.when as u8,
        arg: s.arg,
        from: s.from as u8,
        len_arg: s.len_arg,
        arg2: s.arg2,
        flags: s.flags,
        arg3: s.arg3,
        unit: s.unit,
        base: s.base,
        limit: limited.limit,
    }
}

/// Converts a plan. Panics if it has more than [`STEPS`] steps at one end.
fn plan(steps: &crate::plans::CapturePlan) -> types::plan {
    let mut plan = types::plan::default();
    for (at, steps_there) in [&steps.entry, &steps.exit].into_iter().enumerate() {
        assert!(steps_there.len() <= STEPS, "no call has more steps than arguments and results");
        plan.count[at] = steps_there.len() as u32;
        for (to, from) in plan.steps[at].iter_mut().zip(steps_there) {
            *to = step(from);
        }
    }
    plan.begins = u32::from(steps.entry.iter().any(|t| t.step.kind == StepKind::StrVec));
    plan.mapping = steps.mapping.map_or(0, |mapping| mapping as u32);
    plan.changes = u32::from(steps.changes);
    plan.fd = steps.fd.map_or(u32::from(NONE), u32::from);
    plan
}

/// Describes an opcode for the probe. `row` is `None` if the table does not have it.
fn describe_opcode(row: Option<&abi::Row>, plan: u32) -> opcode {
    let raw = [SqeField::Fd, SqeField::Addr, SqeField::Len, SqeField::Off, SqeField::OpFlags];
    let fields = row.and_then(|r| r.operation).map_or(&raw[..], |o| o.fields);
    let mut opcode = opcode { plan, ..Default::default() };
    for (to, from) in opcode.fields.iter_mut().zip(fields) {
        *to = *from as u8;
    }
    let is_vector = |a: &Arg| matches!(a.kind, Kind::InIov { .. } | Kind::OutIov { .. });
    opcode.returns_bytes = row.is_some_and(|r| r.spec.ret == Ret::Bytes).into();
    opcode.vectors = row.is_some_and(|r| r.spec.args.iter().any(is_vector)).into();
    opcode.multishot = row.and_then(|r| r.operation).is_some_and(|o| o.multishot).into();
    opcode
}

impl Tables {
    /// Makes the tables for these options.
    pub fn new(options: &Options) -> Self {
        let plans = Plans::new(options);
        // A plan's number in the maps is its index plus 1; 0 is no plan.
        let place = |found: Option<u32>| found.map_or(0, |at| at + 1);
        let opcodes = |first: u32, plans: &[Option<u32>]| {
            let opcodes = (first..).zip(plans);
            opcodes.map(|(n, plan)| describe_opcode(abi::by_number(n), place(*plan))).collect()
        };
        let mut variants = Vec::new();
        let mut numbers = Vec::new();
        for number in 0..NUMBER_LIMIT {
            let chosen = plans.variants(number);
            numbers.push(types::number {
                plan: place(plans.default_plan(number)),
                mask: chosen.as_ref().map_or(0, |c| c.mask),
                by: chosen.as_ref().map_or(0, |c| u32::from(c.selector)),
                variants: u32::from(chosen.is_some()),
                aio: aio_meaning(number).map_or(0, |meaning| meaning as u32),
                unused: 0,
            });
            for (value, steps) in chosen.iter().flat_map(|c| c.plans) {
                variants.push((types::variant { nr: u64::from(number), value: *value }, steps + 1));
            }
        }
        Self {
            plans: std::iter::once(types::plan::default())
                .chain(plans.as_slice().iter().map(plan))
                .collect(),
            numbers,
            variants,
            beyond: place(plans.find_plan(u64::MAX, &[0; 6])),
            unknown: place(Some(crate::plans::REGISTERS_ONLY)),
            opcodes: opcodes(URING, plans.by_opcode()),
            aio_opcodes: opcodes(AIO, plans.by_aio_opcode()),
        }
    }

    /// Returns the greatest number that is in the table.
    pub fn greatest(&self) -> u32 {
        self.numbers.len() as u32 - 1
    }

    /// Fills the maps, each with one system call.
    pub fn store(&self, skel: &mut EngineSkel<'_>) -> libbpf_rs::Result<()> {
        let maps = &skel.maps;
        fill(&maps.plans, numbered().zip(self.plans.iter().map(bytes)))?;
        fill(&maps.numbers, numbered().zip(self.numbers.iter().map(bytes)))?;
        let variants = self.variants.iter();
        fill(&maps.variants, variants.map(|(variant, plan)| (bytes(variant), plan.to_ne_bytes())))
    }
}

/// Returns the keys of an array, from 0.
pub(super) fn numbered() -> impl Iterator<Item = [u8; 4]> {
    (0u32..).map(u32::to_ne_bytes)
}

/// Puts all pairs into a map with one system call.
pub(super) fn fill(
    map: &impl MapCore,
    pairs: impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>,
) -> libbpf_rs::Result<()> {
    let (mut keys, mut values, mut count) = (Vec::new(), Vec::new(), 0);
    for (key, value) in pairs {
        keys.extend_from_slice(key.as_ref());
        values.extend_from_slice(value.as_ref());
        count += 1;
    }
    if count == 0 {
        return Ok(());
    }
    map.update_batch(&keys, &values, count, MapFlags::ANY, MapFlags::ANY)
}

/// Returns the bytes of a struct that is shared with the kernel.
pub(super) fn bytes<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: the types are made of the C structs, whose padding has names; all their bytes are
    // initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}
