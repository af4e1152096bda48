//! Descriptors that calls create: which file they refer to, and by which path.

use crate::Processes;
use crate::arguments::Operands;
use crate::calls::effects::{O_CLOEXEC, asks_cloexec};
use crate::procfs_links::{LinkRoute, LinkTarget};
use abi::plan::RESULT;
use abi::{CallSpec, Effect, Kind, Role};
use linux_raw_sys::general::S_IFREG;
use trace::call::Call;
use trace::record::Identity;

impl<T: Default> Processes<T> {
    /// Installs the descriptor that a call returned, with the identity and the path that the
    /// recorder found out about the file. Without them, the file has the path that the call passed.
    pub(crate) fn apply_open(&mut self, call: &Call, spec: &CallSpec, operands: &mut Operands<T>) {
        let (mut identity, shown_path) = call.identity(RESULT).unwrap_or_default();
        let mut status = 0;
        let mut named = None;
        for (i, arg) in spec.args.iter().enumerate() {
            if let Kind::Path(way) = arg.kind
                && let Role::Open(flags) = way.role
            {
                status = call.open_flags(flags);
                if call.identity(RESULT).is_some() {
                    self.correct_link_target(call, i, &identity, shown_path, operands);
                }
                named = operands.paths[i].as_deref().map(|named| (i, named));
                // A file that the recorder could not look at is most likely a regular one, if its
                // path is known.
                if named.is_some() && identity.mode == 0 && call.identity(RESULT).is_none() {
                    identity = Identity { mode: S_IFREG, ..Identity::default() };
                }
            }
        }
        let cloexec = status & O_CLOEXEC != 0 || asks_cloexec(call, spec);
        let is_mount_tree = matches!(spec.effect, Effect::OpenTree | Effect::MakeMount);
        let (path, elsewhere) = match named {
            // The kernel shows where the name led, unless the file lost its name meanwhile.
            Some((i, named))
                if !shown_path.starts_with(b"/") || identity.lost_name(shown_path).is_some() =>
            {
                let elsewhere = operands.through[i]
                    .as_ref()
                    .is_some_and(|way| matches!(way.to, LinkTarget::Elsewhere));
                (crate::lexical(named).into(), elsewhere)
            }
            _ => self.recorded_path(call.tid, shown_path),
        };
        identity.offset = 0;
        let file = self.new_open_file(&path, identity, status, elsewhere || is_mount_tree);
        if let Some(pid_arg) = spec.args.iter().position(|a| a.kind == Kind::Pid) {
            file.set_process(call.args[pid_arg] as u32);
        }
        let descriptor = self.new_descriptor(file);
        self.install_descriptor(call, operands, call.ret as i32, descriptor, cloexec);
    }

    /// Applies a pidfd_getfd(2): installs a copy of a descriptor of another process. It refers to
    /// the same open file, if the kernel shows the same identity. `process` and `fd` are the
    /// indices of the arguments with the pidfd and the number there.
    pub(crate) fn apply_pidfd_getfd(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &mut Operands<T>,
        process: u8,
        fd: u8,
    ) {
        let pid = operands.fds[usize::from(process)].as_ref().and_then(|d| d.file.process());
        let copied = pid
            .and_then(|task| self.descriptor_of(task, call.args[usize::from(fd)] as i32))
            .filter(|d| {
                call.identity(RESULT).is_none_or(|(identity, _)| d.file.matches_identity(&identity))
            })
            .cloned();
        match copied {
            // It is close-on-exec in any case (pidfd_getfd(2)).
            Some(descriptor) => {
                self.install_descriptor(call, operands, call.ret as i32, descriptor, true);
            }
            None => self.apply_open(call, spec, operands),
        }
    }

    /// Corrects what the path in argument `arg` of an open refers to, by the file that the kernel
    /// shows. Where links of procfs of other processes lead is not known otherwise.
    fn correct_link_target(
        &self,
        call: &Call,
        arg: usize,
        identity: &Identity,
        shown_path: &[u8],
        operands: &mut Operands<T>,
    ) {
        let may_differ = match operands.through[arg].as_ref().map(|route| (&route.to, &*route.rest))
        {
            Some((LinkTarget::File(descriptor), b"")) => {
                !descriptor.file.matches_identity(identity)
            }
            // A symbolic link there may have led out of the file system that the program mounted.
            Some((LinkTarget::Elsewhere, _)) | None => true,
            Some(_) => return,
        };
        let has_path = shown_path.starts_with(b"/") && !shown_path.ends_with(b" (deleted)");
        let has_procfs_link = operands.paths[arg]
            .as_deref()
            .is_some_and(|path| crate::procfs_links::has_procfs_link(path, call));
        if has_path && may_differ && (has_procfs_link || operands.through[arg].is_some()) {
            let (path, elsewhere) = self.recorded_path(call.tid, shown_path);
            let to = if elsewhere { LinkTarget::Elsewhere } else { LinkTarget::Name };
            operands.paths.set(arg, path);
            operands.through.set(arg, LinkRoute { to, rest: Box::default() });
        }
    }
}
