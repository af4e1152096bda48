//! What is known of one call's descriptors and directories, as far as the model needs it.

use crate::files::node::NodeId;
use abi::{CallSpec, Ret, argument_indices};
use processes::{Descriptor, Directory, LinkTarget, MountView, OpenFile, Operands, PerArgument};
use std::cell::Cell;
use std::sync::Arc;
use trace::call::Call;

/// The traced processes, with the model's file attached to each working and root directory.
pub type Processes = processes::Processes<Cell<Option<NodeId>>>;

/// A descriptor that a call was given.
#[derive(Clone, Debug)]
pub struct FdArg {
    /// The open file.
    pub file: Arc<OpenFile>,
    /// Where data move: the call's own offset, or the descriptor's; `None` if that is unknown.
    pub offset: Option<u64>,
}

/// Where a path leads that goes through a link of procfs, and the path behind that link.
#[derive(Clone, Debug)]
pub enum BehindProcfsLink {
    /// To an open file.
    File(FdArg, Box<[u8]>),
    /// To a directory.
    Directory(NodeId, Box<[u8]>),
    /// To the file with this name.
    Name(Box<[u8]>),
    /// To where nothing is inferred: a file system that the program mounted.
    Elsewhere,
}

/// The surroundings of one call.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The descriptors among the arguments.
    pub fds: [Option<FdArg>; 6],
    /// What path arguments mean that go through links of procfs (`/proc/self/fd/3`, `/dev/stdin`).
    pub through: PerArgument<BehindProcfsLink>,
    /// What names mean where the process has mounts or a root of its own, and the paths.
    pub view: Option<MountView>,
    /// See [`Operands::viewed`].
    pub viewed: PerArgument<Box<[u8]>>,
    /// The open file behind the resulting descriptor.
    pub opened: Option<Arc<OpenFile>>,
    /// The working directory, of calls with paths, unless it is virtual or elsewhere.
    pub cwd: Option<NodeId>,
    /// The root directory, unless it is the recorder's.
    pub root: Option<NodeId>,
    /// The umask.
    pub umask: u32,
    /// See [`Operands::shares_buffer`].
    pub shares_buffer: bool,
}

/// The file that a directory is, once it is known.
type Found = Cell<Option<NodeId>>;

impl Context {
    /// Returns what the arguments of a call that has just returned referred to, without its working
    /// and root directory. `directory` returns the file of a directory.
    pub fn of(
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<Cell<Option<NodeId>>>,
        directory: &mut dyn FnMut(&Directory<Found>) -> Option<NodeId>,
    ) -> Self {
        let given = |descriptor: &Arc<Descriptor<_>>| {
            let offset = match spec.copies {
                // The offsets have been advanced already.
                Some(_) => Some(descriptor.file.offset().saturating_sub(call.ret.max(0) as u64)),
                None => operands.offset,
            };
            FdArg { file: descriptor.file.clone(), offset }
        };
        let mut context = Self {
            umask: operands.umask,
            view: operands.view.clone(),
            shares_buffer: operands.shares_buffer,
            ..Self::default()
        };
        for i in argument_indices(spec.uses.fd_args) {
            context.fds[i] = operands.fds[i].as_ref().map(given);
        }
        for (arg, _, descriptor) in &operands.inner {
            context.fds[usize::from(*arg)] = Some(given(descriptor));
        }
        for i in argument_indices(spec.uses.path_args) {
            if let Some(path) = &operands.viewed[i] {
                context.viewed.put(i, path.clone());
            }
            let Some(way) = &operands.through[i] else { continue };
            let via = match (&way.to, &operands.paths[i]) {
                (LinkTarget::File(descriptor), _) => {
                    BehindProcfsLink::File(given(descriptor), way.rest.clone())
                }
                (LinkTarget::Directory(at), _) => directory(at)
                    .map_or(BehindProcfsLink::Elsewhere, |node| {
                        BehindProcfsLink::Directory(node, way.rest.clone())
                    }),
                (LinkTarget::Name, Some(path)) => BehindProcfsLink::Name(path.clone()),
                (LinkTarget::Elsewhere, _) => BehindProcfsLink::Elsewhere,
                (LinkTarget::Name, None) | (LinkTarget::Virtual, _) => continue,
            };
            context.through.put(i, via);
        }
        if spec.ret == Ret::Fd && call.succeeded() {
            context.opened = operands
                .opened
                .iter()
                .find(|(fd, _)| i64::from(*fd) == call.ret)
                .map(|(_, d)| d.file.clone());
        }
        context
    }
}
