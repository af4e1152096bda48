//! The columns of calls that follow from what their processes did before.

use abi::{Ret, argument_indices};
use processes::{Bound, Moment, Timeline, World, lexical};
use std::borrow::Cow;
use trace::{Call, Columns, Item};

/// Moves `world` on by a window of calls and events, and derives the columns of its calls.
pub fn derive(
    world: &mut World,
    items: &mut dyn Iterator<Item = Item>,
    found: &mut dyn FnMut(u64, Columns<'_>),
) {
    let mut under_way: Vec<Option<Bound<()>>> = Vec::new();
    for moment in Timeline::new(items.map(Ok)) {
        let Ok::<_, std::convert::Infallible>(moment) = moment;
        match moment {
            Moment::Event(event) => drop(world.event(&event)),
            Moment::Enter(number, call) => {
                under_way.resize_with(under_way.len().max(number + 1), || None);
                under_way[number] = Some(world.enter(&call));
            }
            Moment::Leave(number, call) => {
                let Some(mut bound) = under_way[number].take() else { continue };
                world.leave(&call, &mut bound);
                columns(&call, &bound, found);
            }
            Moment::Lost(number, call) => {
                let Some(bound) = under_way[number].take() else { continue };
                columns(&call, &bound, found);
            }
        }
    }
}

fn columns(call: &Call, bound: &Bound<()>, found: &mut dyn FnMut(u64, Columns<'_>)) {
    let Some(shape) = call.shape() else { return };
    let descriptor = match shape.uses.fd {
        Some(i) => bound.fds[usize::from(i)].as_ref(),
        None => {
            let opened = (shape.ret == Ret::Fd && call.left.is_some() && call.ret >= 0)
                .then_some(call.ret as i32);
            bound.opened.iter().find(|(fd, _)| Some(*fd) == opened).map(|(_, d)| d)
        }
    };
    let mut file = descriptor.map(|d| &d.file.path[..]);
    if shape.uses.fd.is_none() && file.is_none() {
        file = call.identity(abi::plan::RESULT).map(|(_, path)| path);
    }
    let mut paths = [None, None];
    for (slot, i) in paths.iter_mut().zip(argument_indices(shape.uses.path_args)) {
        *slot = match &bound.paths[i] {
            Some(path) => Some(Cow::from(lexical(path))),
            None => call.path(i as u8).map(Cow::from),
        };
    }
    found(call.seq, Columns { file, paths, offset: bound.offset });
}
