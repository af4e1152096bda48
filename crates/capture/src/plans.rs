//! The capture plans of all calls, made once: per call there is nothing left to do but to look one
//! up.

use crate::options::{DataLimit, NUMBERS, Options};
use abi::plan::{DATA, Plan, Step, StepKind, When};
use abi::{Kind, Shape};

/// A step, and how many bytes of data it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitedStep {
    pub step: Step,
    /// At most so many bytes, where the step's bytes are data.
    pub limit: u64,
}

/// What to do at a call's two ends.
#[derive(Debug, Default)]
pub(crate) struct CapturePlan {
    pub entry: Box<[LimitedStep]>,
    pub exit: Box<[LimitedStep]>,
    /// The argument that is the call's descriptor.
    pub fd: Option<u8>,
}

impl CapturePlan {
    fn of(shape: &Shape, data: DataLimit) -> Self {
        let plan = Plan::derive(shape);
        let take = |step: &Step| {
            let limit = match data {
                _ if step.flags & DATA == 0 => u64::MAX,
                DataLimit::All => u64::MAX,
                DataLimit::Writes => {
                    let written = matches!(
                        step.kind,
                        StepKind::SourceFile | StepKind::DestinationFile | StepKind::SourceRange
                    ) || shape
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
            entry: plan.entry.iter().map(take).collect(),
            exit: plan.exit.iter().map(take).collect(),
            fd: shape.uses.fd,
        }
    }
}

fn is_input(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::In(..) | Kind::InIov { .. } | Kind::InMsg | Kind::InMsgs { .. } | Kind::Iocbs { .. }
    )
}

struct NumberEntry {
    wanted: bool,
    by: u8,
    mask: u32,
    own: u32,
    variants: Box<[(u64, u32)]>,
}

/// Plans by the value of an argument.
pub(crate) struct Variants<'a> {
    pub by: u8,
    pub mask: u32,
    /// The argument's value under the mask, and the plan's place.
    pub of: &'a [(u64, u32)],
}

/// All plans.
pub(crate) struct Plans {
    steps: Vec<CapturePlan>,
    by_number: Vec<NumberEntry>,
    wanted_beyond: bool,
}

/// The plan of a call that the table does not know: nothing but its registers.
pub(crate) const UNKNOWN: u32 = 0;

impl Plans {
    pub fn new(options: &Options) -> Self {
        let mut steps = vec![CapturePlan::default()];
        let mut add = |shape: &Shape| {
            steps.push(CapturePlan::of(shape, options.data));
            (steps.len() - 1) as u32
        };
        let by_number = (0..NUMBERS).map(|number| {
            let wanted = options.calls.contains(number);
            match abi::by_number(number) {
                None => {
                    NumberEntry { wanted, by: 0, mask: 0, own: UNKNOWN, variants: Box::default() }
                }
                Some(row) => {
                    let own = add(&row.shape);
                    NumberEntry {
                        wanted,
                        by: row.selector,
                        mask: row.mask,
                        own,
                        variants: row
                            .variants
                            .iter()
                            .map(|(value, shape)| (*value, add(shape)))
                            .collect(),
                    }
                }
            }
        });
        let by_number = by_number.collect();
        Self { steps, by_number, wanted_beyond: options.calls.contains(u32::MAX) }
    }

    /// The plan for these arguments, by its place in [`Plans::steps`]; `None` if the call is not
    /// wanted.
    pub fn find(&self, number: u64, args: &[u64; 6]) -> Option<u32> {
        let Some(entry) = usize::try_from(number).ok().and_then(|n| self.by_number.get(n)) else {
            return self.wanted_beyond.then_some(UNKNOWN);
        };
        if !entry.wanted {
            return None;
        }
        if entry.variants.is_empty() {
            return Some(entry.own);
        }
        let value = args[entry.by as usize] & u64::from(entry.mask);
        Some(
            entry.variants.iter().find(|(v, _)| *v == value).map_or(entry.own, |(_, steps)| *steps),
        )
    }

    /// The plan of a number in the table's range, whatever its arguments; `None` if the call is not
    /// wanted.
    pub fn own(&self, number: u32) -> Option<u32> {
        self.by_number.get(number as usize).filter(|e| e.wanted).map(|e| e.own)
    }

    /// Which argument of a wanted call chooses among other plans, if one does.
    pub fn variants(&self, number: u32) -> Option<Variants<'_>> {
        let entry =
            self.by_number.get(number as usize).filter(|e| e.wanted && !e.variants.is_empty())?;
        Some(Variants { by: entry.by, mask: entry.mask, of: &entry.variants })
    }

    /// All plans, by their place.
    pub fn all(&self) -> &[CapturePlan] {
        &self.steps
    }

    pub fn steps(&self, at: u32) -> &CapturePlan {
        &self.steps[at as usize]
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
        let read = plans.find(0, &[0; 6]).expect("read is wanted");
        assert_eq!(plans.steps(read).exit.len(), 1);
        assert_eq!(plans.find(1, &[0; 6]), None);
        assert_eq!(plans.find(u64::MAX, &[0; 6]), None);
    }

    #[test]
    fn limits_are_for_data_only() {
        let plans = |data| Plans::new(&Options { data, ..Options::default() });
        let of = |data, number| {
            let plans = plans(data);
            plans.steps(plans.find(number, &[0; 6]).expect("wanted")).exit[0].limit
        };
        assert_eq!((of(DataLimit::Writes, 0), of(DataLimit::Writes, 1)), (0, u64::MAX));
        assert_eq!((of(DataLimit::None, 0), of(DataLimit::None, 1)), (0, 0));
        assert_eq!((of(DataLimit::Bytes(9), 0), of(DataLimit::All, 1)), (9, u64::MAX));
    }
}
