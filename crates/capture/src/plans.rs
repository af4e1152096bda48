//! The capture plans of all system calls. They are made once, so that a call costs one lookup.

use crate::mapped_files::{MappingUse, changed_file, mapping_use};
use crate::options::{DataLimit, NUMBER_LIMIT, Options};
use abi::plan::{DATA, NONE, Plan, Step, StepKind, When};
use abi::{AIO, AIO_OPCODES, AioUse, CallSpec, Effect, Kind, MAPPINGS, URING, URING_OPCODES};

/// A step of a plan, with the limit that [`Options::data`] sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitedStep {
    pub step: Step,
    /// The most bytes that the step captures; `u64::MAX` if it captures no data.
    pub limit: u64,
}

/// What is captured at the entry and at the exit of a call.
#[derive(Debug)]
pub(crate) struct CapturePlan {
    pub entry: Box<[LimitedStep]>,
    pub exit: Box<[LimitedStep]>,
    /// The argument that is the descriptor the call works on, if there is one.
    pub fd: Option<u8>,
    /// What the call means to mapped files.
    pub mapping: Option<MappingUse>,
    /// The file that the call changes; see [`changed_file`].
    pub changes: u8,
}

impl Default for CapturePlan {
    /// Returns the plan that captures nothing.
    fn default() -> Self {
        let (entry, exit) = Default::default();
        Self { entry, exit, fd: None, mapping: None, changes: NONE }
    }
}

impl CapturePlan {
    /// Derives the plan of a call from its argument kinds. `data` limits the steps that capture
    /// data.
    fn from_shape(spec: &CallSpec, data: DataLimit) -> Self {
        Self::with_limits(spec, &Plan::derive(spec), data)
    }

    /// Derives the plan of an operation that is no system call.
    fn of_operation(spec: &CallSpec, data: DataLimit) -> Self {
        Self::with_limits(spec, &Plan::derive_operation(spec), data)
    }

    /// Adds to each step the limit that `data` sets.
    fn with_limits(spec: &CallSpec, plan: &Plan, data: DataLimit) -> Self {
        let add_limit = |step: &Step| {
            let limit = match data {
                _ if step.flags & DATA == 0 => u64::MAX,
                DataLimit::All => u64::MAX,
                DataLimit::Writes => {
                    let written = matches!(
                        step.kind,
                        StepKind::SourceFile | StepKind::DestinationFile | StepKind::SourceRange
                    ) || spec
                        .args
                        .get(step.arg as usize)
                        .is_some_and(|a| is_input(a.kind));
                    if written { u64::MAX } else { 0 }
                }
                DataLimit::None => 0,
                DataLimit::Bytes(n) => n,
            };
            LimitedStep { step: *step, limit }
        };
        debug_assert!(plan.entry.iter().all(|s| s.when == When::Entry));
        Self {
            entry: plan.entry.iter().map(add_limit).collect(),
            exit: plan.exit.iter().map(add_limit).collect(),
            fd: spec.uses.fd,
            mapping: mapping_use(spec),
            changes: changed_file(spec),
        }
    }
}

/// What a call means to contexts of libaio, as in `enum aio_use` of `bpf/record.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum AioMeaning {
    Create = AioUse::Create as u8,
    Submit = AioUse::Submit as u8,
    Destroy = AioUse::Destroy as u8,
    Reap = AioUse::Reap as u8,
    Cancel = AioUse::Cancel as u8,
    /// The process may have no memory of its own afterwards.
    LastLook = 6,
}

/// Returns what the call with this number means to contexts of libaio, or `None` if nothing.
pub(crate) fn aio_meaning(number: u32) -> Option<AioMeaning> {
    Some(match abi::by_number(number)?.spec.effect {
        Effect::Aio(AioUse::Create) => AioMeaning::Create,
        Effect::Aio(AioUse::Submit) => AioMeaning::Submit,
        Effect::Aio(AioUse::Destroy) => AioMeaning::Destroy,
        Effect::Aio(AioUse::Reap) => AioMeaning::Reap,
        Effect::Aio(AioUse::Cancel) => AioMeaning::Cancel,
        Effect::Exec | Effect::Exit | Effect::ExitGroup => AioMeaning::LastLook,
        _ => return None,
    })
}

/// Returns whether an argument of this kind is data that the program writes.
fn is_input(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::In(..) | Kind::InIov { .. } | Kind::InMsg | Kind::InMsgs { .. } | Kind::Iocbs { .. }
    )
}

/// The plans of one system call number.
struct NumberEntry {
    /// Whether calls with this number are recorded.
    wanted: bool,
    /// The argument that selects among `variants`.
    selector: u8,
    /// The bits of that argument that count.
    mask: u32,
    /// The index of the plan that applies unless a variant does.
    default: u32,
    /// Values of the selecting argument, with the indexes of their plans.
    variants: Box<[(u64, u32)]>,
}

/// The plans of a call whose plan depends on the value of an argument.
pub(crate) struct Variants<'a> {
    /// The argument that selects the plan.
    pub selector: u8,
    /// The bits of the argument that count.
    pub mask: u32,
    /// Values of the argument under the mask, with the indexes of their plans.
    pub plans: &'a [(u64, u32)],
}

/// The plans of all calls. A plan is referred to by its index.
pub(crate) struct Plans {
    plans: Vec<CapturePlan>,
    by_number: Vec<NumberEntry>,
    /// The plan of each operation of io_uring, by opcode; `None` if it is not recorded.
    by_opcode: Vec<Option<u32>>,
    /// The same of libaio.
    by_aio_opcode: Vec<Option<u32>>,
    /// Whether calls with numbers from [`NUMBER_LIMIT`] on are recorded.
    records_unlisted: bool,
}

/// The index of the plan for calls that are not in the table: it captures nothing but the
/// registers.
pub(crate) const REGISTERS_ONLY: u32 = 0;

impl Plans {
    /// Derives the plans of the calls that `options` asks to record.
    pub fn new(options: &Options) -> Self {
        let mut plans = vec![CapturePlan::default()];
        let mut add_plan = |spec: &CallSpec| {
            plans.push(CapturePlan::from_shape(spec, options.data));
            (plans.len() - 1) as u32
        };
        let by_number = (0..NUMBER_LIMIT).map(|number| {
            let wanted = options.calls.contains(number);
            match abi::by_number(number) {
                None => NumberEntry {
                    wanted,
                    selector: 0,
                    mask: 0,
                    default: REGISTERS_ONLY,
                    variants: Box::default(),
                },
                Some(row) => {
                    let default = add_plan(&row.spec);
                    NumberEntry {
                        wanted,
                        selector: row.selector,
                        mask: row.mask,
                        default,
                        variants: row
                            .variants
                            .iter()
                            .map(|(value, spec)| (*value, add_plan(spec)))
                            .collect(),
                    }
                }
            }
        });
        let by_number = by_number.collect();
        let mut plan_of_operation = |number| {
            options.calls.contains(number).then(|| match abi::by_number(number) {
                None => REGISTERS_ONLY,
                Some(row) => {
                    plans.push(CapturePlan::of_operation(&row.spec, options.data));
                    (plans.len() - 1) as u32
                }
            })
        };
        let by_opcode = (URING..URING + URING_OPCODES).map(&mut plan_of_operation).collect();
        let by_aio_opcode = (AIO..AIO + AIO_OPCODES).map(&mut plan_of_operation).collect();
        if !options.calls.contains(MAPPINGS) {
            plans.iter_mut().for_each(|plan| (plan.mapping, plan.changes) = (None, NONE));
        }
        let records_unlisted = options.calls.contains(u32::MAX);
        Self { plans, by_number, by_opcode, by_aio_opcode, records_unlisted }
    }

    /// Returns the index of the plan for a call with these arguments, or `None` if the call is not
    /// to be recorded.
    pub fn find_plan(&self, number: u64, args: &[u64; 6]) -> Option<u32> {
        let Some(entry) = usize::try_from(number).ok().and_then(|n| self.by_number.get(n)) else {
            return self.records_unlisted.then_some(REGISTERS_ONLY);
        };
        if !entry.wanted {
            return None;
        }
        if entry.variants.is_empty() {
            return Some(entry.default);
        }
        let value = args[entry.selector as usize] & u64::from(entry.mask);
        Some(
            entry
                .variants
                .iter()
                .find(|(v, _)| *v == value)
                .map_or(entry.default, |(_, plan)| *plan),
        )
    }

    /// Returns the index of the plan that applies to this number unless a variant does, or `None`
    /// if the call is not to be recorded or the number is not below [`NUMBER_LIMIT`].
    pub fn default_plan(&self, number: u32) -> Option<u32> {
        self.by_number.get(number as usize).filter(|e| e.wanted).map(|e| e.default)
    }

    /// Returns the index of the plan of each operation of io_uring, by opcode; `None` for one that
    /// is not to be recorded.
    pub fn by_opcode(&self) -> &[Option<u32>] {
        &self.by_opcode
    }

    /// Returns the same of libaio.
    pub fn by_aio_opcode(&self) -> &[Option<u32>] {
        &self.by_aio_opcode
    }

    /// Returns the plans that an argument of this call selects among, or `None` if its plan does
    /// not depend on an argument or the call is not to be recorded.
    pub fn variants(&self, number: u32) -> Option<Variants<'_>> {
        let entry =
            self.by_number.get(number as usize).filter(|e| e.wanted && !e.variants.is_empty())?;
        Some(Variants { selector: entry.selector, mask: entry.mask, plans: &entry.variants })
    }

    /// Returns all plans, ordered by index.
    pub fn as_slice(&self) -> &[CapturePlan] {
        &self.plans
    }

    /// Returns the plan with this index. Panics if there is none.
    pub fn get(&self, index: u32) -> &CapturePlan {
        &self.plans[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::CallSet;

    #[test]
    fn what_is_not_wanted_has_no_plan() {
        let plans =
            Plans::new(&Options { calls: CallSet::from_fn(|n| n == 0), ..Options::default() });
        let read = plans.find_plan(0, &[0; 6]).expect("read is wanted");
        assert_eq!(plans.get(read).exit.len(), 1);
        assert_eq!(plans.find_plan(1, &[0; 6]), None);
        assert_eq!(plans.find_plan(u64::MAX, &[0; 6]), None);
    }

    #[test]
    fn limits_are_for_data_only() {
        let plans = |data| Plans::new(&Options { data, ..Options::default() });
        let of = |data, number| {
            let plans = plans(data);
            plans.get(plans.find_plan(number, &[0; 6]).expect("wanted")).exit[0].limit
        };
        assert_eq!((of(DataLimit::Writes, 0), of(DataLimit::Writes, 1)), (0, u64::MAX));
        assert_eq!((of(DataLimit::None, 0), of(DataLimit::None, 1)), (0, 0));
        assert_eq!((of(DataLimit::Bytes(9), 0), of(DataLimit::All, 1)), (9, u64::MAX));
    }
}
