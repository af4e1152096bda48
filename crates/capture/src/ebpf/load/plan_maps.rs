//! The capture plans as the program in the kernel has them: the same as [`crate::plans::Plans`], in
//! maps.

use crate::Options;
use crate::ebpf::skel::EngineSkel;
use crate::ebpf::skel::types;
use crate::options::NUMBERS;
use crate::plans::{LimitedStep, Plans};
use abi::plan::{NONE, StepKind};
use libbpf_rs::{MapCore, MapFlags};

/// What the maps hold. Plan 0 stands for calls that are not wanted.
pub(super) struct Tables {
    pub plans: Vec<types::plan>,
    pub numbers: Vec<types::number>,
    pub variants: Vec<(types::variant, u32)>,
    /// The plan of numbers beyond the table.
    pub beyond: u32,
    /// The plan that captures nothing but registers.
    pub unknown: u32,
}

const STEPS: usize = 8;

fn step(limited: &LimitedStep) -> types::step {
    let s = limited.step;
    types::step {
        what: s.what as u8,
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
    plan.fd = steps.fd.map_or(u32::from(NONE), u32::from);
    plan
}

impl Tables {
    pub fn new(options: &Options) -> Self {
        let plans = Plans::new(options);
        // Ours are one further on: 0 is nothing.
        let place = |found: Option<u32>| found.map_or(0, |at| at + 1);
        let mut variants = Vec::new();
        let mut numbers = Vec::new();
        for number in 0..NUMBERS {
            let chosen = plans.variants(number);
            numbers.push(types::number {
                plan: place(plans.own(number)),
                mask: chosen.as_ref().map_or(0, |c| c.mask),
                by: chosen.as_ref().map_or(0, |c| u32::from(c.by)),
                variants: u32::from(chosen.is_some()),
            });
            for (value, steps) in chosen.iter().flat_map(|c| c.of) {
                variants.push((types::variant { nr: u64::from(number), value: *value }, steps + 1));
            }
        }
        Self {
            plans: std::iter::once(types::plan::default())
                .chain(plans.all().iter().map(plan))
                .collect(),
            numbers,
            variants,
            beyond: place(plans.find(u64::MAX, &[0; 6])),
            unknown: place(Some(crate::plans::UNKNOWN)),
        }
    }

    /// Numbers from here on are in no table.
    pub fn greatest(&self) -> u32 {
        self.numbers.len() as u32 - 1
    }

    /// Puts them into the maps, each with one system call.
    pub fn store(&self, skel: &mut EngineSkel<'_>) -> libbpf_rs::Result<()> {
        let maps = &skel.maps;
        fill(&maps.plans, numbered().zip(self.plans.iter().map(bytes)))?;
        fill(&maps.numbers, numbered().zip(self.numbers.iter().map(bytes)))?;
        let variants = self.variants.iter();
        fill(&maps.variants, variants.map(|(variant, plan)| (bytes(variant), plan.to_ne_bytes())))
    }
}

/// Keys of an array, from 0.
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

/// A struct that the kernel shares with us, as bytes.
fn bytes<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: the types are made of the C structs, whose padding has names; all their bytes are
    // initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}
