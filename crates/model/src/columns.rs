//! The columns of calls that follow from what their processes did before.

use abi::{Ret, argument_indices};
use processes::{Operands, Processes, Timeline, TimelineItem, lexical};
use std::borrow::Cow;
use trace::{Call, Columns, Item};

/// Applies a window of calls and events to `processes`, and calls `handle` with the sequence number
/// and the derived columns of each call: the paths that it used, its file, and its offset.
pub fn derive(
    processes: &mut Processes,
    items: &mut dyn Iterator<Item = Item>,
    handle: &mut dyn FnMut(u64, Columns<'_>),
) {
    let mut under_way: Vec<Option<Operands<()>>> = Vec::new();
    for item in Timeline::new(items.map(Ok)) {
        let Ok::<_, std::convert::Infallible>(item) = item;
        match item {
            TimelineItem::Event(event) => drop(processes.event(&event)),
            TimelineItem::Enter(call_id, call) => {
                under_way.resize_with(under_way.len().max(call_id + 1), || None);
                under_way[call_id] = Some(processes.enter(&call));
            }
            TimelineItem::Leave(call_id, call) => {
                let Some(mut operands) = under_way[call_id].take() else { continue };
                processes.leave(&call, &mut operands);
                derive_columns(&call, &operands, handle);
            }
            TimelineItem::Unreturned(call_id, call) => {
                let Some(operands) = under_way[call_id].take() else { continue };
                derive_columns(&call, &operands, handle);
            }
        }
    }
}

/// Calls `handle` with the sequence number and the derived columns of one call, which follow from
/// what its arguments referred to.
fn derive_columns(call: &Call, operands: &Operands<()>, handle: &mut dyn FnMut(u64, Columns<'_>)) {
    let Some(spec) = call.spec() else { return };
    let descriptor = match spec.uses.fd {
        Some(i) => operands.fds[usize::from(i)].as_ref(),
        None => {
            let opened = (spec.ret == Ret::Fd && call.exited.is_some() && call.ret >= 0)
                .then_some(call.ret as i32);
            operands.opened.iter().find(|(fd, _)| Some(*fd) == opened).map(|(_, d)| d)
        }
    };
    let mut file = descriptor.map(|d| &d.file.path[..]);
    if spec.uses.fd.is_none() && file.is_none() {
        file = call.identity(abi::plan::RESULT).map(|(_, path)| path);
    }
    let mut paths = [None, None];
    for (slot, i) in paths.iter_mut().zip(argument_indices(spec.uses.path_args)) {
        *slot = match &operands.paths[i] {
            Some(path) => Some(Cow::from(lexical(path))),
            None => call.path(i as u8).map(Cow::from),
        };
    }
    handle(call.seq, Columns { file, paths, offset: operands.offset });
}
