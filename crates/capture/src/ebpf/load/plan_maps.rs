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
    /// The index of the plan of calls whose numbers are greater than all in `numbers`.
    pub beyond: u32,
    /// The index of the plan that captures nothing but the registers.
    pub unknown: u32,
    /// The operations of io_uring, by opcode.
    pub opcodes: Vec<opcode>,
    /// The operations of libaio, by opcode.
    pub aio_opcodes: Vec<opcode>,
}

/// The most steps of a plan at one end of a call.
const MAX_STEPS: usize = 8;

/// Converts a step of a capture plan to the form of the probe.
fn convert_step(limited: &LimitedStep) -> types::step {
    let step = limited.step;
    types::step {
        what: step.kind as u8,
        when: step.when as u8,
        arg: step.arg,
        from: step.from as u8,
        len_arg: step.len_arg,
        arg2: step.arg2,
        flags: step.flags,
        arg3: step.arg3,
        unit: step.unit,
        base: step.base,
        limit: limited.limit,
    }
}

/// Converts a capture plan to the form of the probe. Panics if it has more than [`MAX_STEPS`] steps
/// at one end.
fn convert_plan(steps: &crate::plans::CapturePlan) -> types::plan {
    let mut plan = types::plan::default();
    for (end, steps_at_end) in [&steps.entry, &steps.exit].into_iter().enumerate() {
        assert!(
            steps_at_end.len() <= MAX_STEPS,
            "no call has more steps than arguments and results"
        );
        plan.count[end] = steps_at_end.len() as u32;
        for (to, from) in plan.steps[end].iter_mut().zip(steps_at_end) {
            *to = convert_step(from);
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
    /// Creates the tables for these options.
    pub fn new(options: &Options) -> Self {
        let plans = Plans::new(options);
        // A plan's number in the maps is its index plus 1; 0 is no plan.
        let map_index = |plan: Option<u32>| plan.map_or(0, |index| index + 1);
        let opcodes = |first: u32, plans: &[Option<u32>]| {
            let opcodes = (first..).zip(plans);
            opcodes.map(|(n, plan)| describe_opcode(abi::by_number(n), map_index(*plan))).collect()
        };
        let mut variants = Vec::new();
        let mut numbers = Vec::new();
        for number in 0..NUMBER_LIMIT {
            let call_variants = plans.variants(number);
            numbers.push(types::number {
                plan: map_index(plans.default_plan(number)),
                mask: call_variants.as_ref().map_or(0, |c| c.mask),
                by: call_variants.as_ref().map_or(0, |c| u32::from(c.selector)),
                variants: u32::from(call_variants.is_some()),
                aio: aio_meaning(number).map_or(0, |meaning| meaning as u32),
                unused: 0,
            });
            for (value, steps) in call_variants.iter().flat_map(|c| c.plans) {
                variants.push((types::variant { nr: u64::from(number), value: *value }, steps + 1));
            }
        }
        Self {
            plans: std::iter::once(types::plan::default())
                .chain(plans.as_slice().iter().map(convert_plan))
                .collect(),
            numbers,
            variants,
            beyond: map_index(plans.find_plan(u64::MAX, &[0; 6])),
            unknown: map_index(Some(crate::plans::REGISTERS_ONLY)),
            opcodes: opcodes(URING, plans.by_opcode()),
            aio_opcodes: opcodes(AIO, plans.by_aio_opcode()),
        }
    }

    /// Returns the number from which on calls have the plan [`Self::beyond`].
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

/// Stores all pairs of keys and values in a map with one system call (Linux 5.6 and later). Does
/// nothing if there are none.
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
