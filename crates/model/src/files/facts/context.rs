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
    /// Where the call reads or writes: at its own offset, or at that of the open file; `None` if
    /// that is unknown.
    pub offset: Option<u64>,
}

/// Where a link of procfs leads that a path goes through, and the rest of the path behind the link.
#[derive(Clone, Debug)]
pub enum BehindProcfsLink {
    /// To an open file.
    File(FdArg, Box<[u8]>),
    /// To a directory.
    Directory(NodeId, Box<[u8]>),
    /// To the file with this name.
    Name(Box<[u8]>),
    /// To a file system that the program mounted, of which nothing is inferred.
    Elsewhere,
}

/// What the arguments of one call referred to, and the state of its process that the call depends
/// on.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The descriptors among the arguments.
    pub fds: [Option<FdArg>; 6],
    /// What path arguments mean that go through links of procfs (`/proc/self/fd/3`, `/dev/stdin`).
    pub through: PerArgument<BehindProcfsLink>,
    /// The mounts and the root of the process, if it has its own.
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

/// The model's file for a directory, once it is known.
type KnownFile = Cell<Option<NodeId>>;

impl Context {
    /// Returns what the arguments of a call that has just returned referred to. The working and the
    /// root directory are left to the caller. `file_of_directory` returns the model's file for a
    /// directory.
    pub fn prepare(
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<Cell<Option<NodeId>>>,
        file_of_directory: &mut dyn FnMut(&Directory<KnownFile>) -> Option<NodeId>,
    ) -> Self {
        let fd_arg = |descriptor: &Arc<Descriptor<_>>| {
            let offset = match spec.copies {
                // The call has advanced the offset already.
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
            context.fds[i] = operands.fds[i].as_ref().map(fd_arg);
        }
        for (arg, _, descriptor) in &operands.inner {
            context.fds[usize::from(*arg)] = Some(fd_arg(descriptor));
        }
        for i in argument_indices(spec.uses.path_args) {
            if let Some(path) = &operands.viewed[i] {
                context.viewed.set(i, path.clone());
            }
            let Some(route) = &operands.through[i] else { continue };
            let behind = match (&route.to, &operands.paths[i]) {
                (LinkTarget::File(descriptor), _) => {
                    BehindProcfsLink::File(fd_arg(descriptor), route.rest.clone())
                }
                (LinkTarget::Directory(at), _) => file_of_directory(at)
                    .map_or(BehindProcfsLink::Elsewhere, |node| {
                        BehindProcfsLink::Directory(node, route.rest.clone())
                    }),
                (LinkTarget::Name, Some(path)) => BehindProcfsLink::Name(path.clone()),
                (LinkTarget::Elsewhere, _) => BehindProcfsLink::Elsewhere,
                (LinkTarget::Name, None) | (LinkTarget::Virtual, _) => continue,
            };
            context.through.set(i, behind);
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
