//! Events: threads that begin and end, and what was open when the recording began.

use super::Dispatcher;
use crate::Error;
use crate::issue::raw::{self, OPEN_FLAGS, open_directory};
use trace::Event;
use trace::record::RecordKind;

impl Dispatcher<'_> {
    /// Applies an event to the processes, and releases the descriptors that it closed.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), Error> {
        let closed = self.processes.event(event);
        if matches!(event.kind, RecordKind::Start | RecordKind::State | RecordKind::Exec) {
            self.known_threads.insert(event.tid);
        }
        match event.kind {
            RecordKind::State => {
                self.wait_for_all()?;
                if let Some(cwd) = self.processes.directory(event.tid) {
                    let unnamed = self.unnamed.directory(event);
                    let fd = unnamed.unwrap_or_else(|| open_directory(&cwd.path));
                    self.pool.adopt(&cwd.real, fd);
                }
            }
            RecordKind::Descriptor if !event.is_mapping() => {
                self.wait_for_all()?;
                self.open_inherited(event);
            }
            RecordKind::Start => {
                self.pacer.thread_started(event.tid, event.time);
                self.order.thread_started(event.tid, event.args[1] as u32);
            }
            _ => {}
        }
        self.release(event.tid, closed, self.number)?;
        if event.kind == RecordKind::Exit {
            self.pacer.thread_ended(event.tid);
            self.pool.thread_ended(event.tid);
        }
        Ok(())
    }

    /// Waits until all dispatched calls are done, so that what is looked at next is what they left.
    fn wait_for_all(&mut self) -> Result<(), Error> {
        if self.number == 0 || self.first_pending() == self.number {
            return Ok(());
        }
        self.start_executors();
        self.wait(self.number)
    }

    /// Opens a descriptor that was open when the recording began. Descriptors that shared an offset
    /// share it here, too.
    fn open_inherited(&mut self, event: &Event) {
        let Some(descriptor) = self.processes.descriptor(event.tid, event.args[0] as i32) else {
            return;
        };
        let file = &descriptor.file;
        if !file.is_stored() {
            return;
        }
        if let Some(first) = self.pool.inherited_fd(file.id) {
            self.pool.adopt(&descriptor.real, raw::dup(first, true));
            return;
        }
        let unnamed = self.unnamed.file(event);
        let fd = unnamed.unwrap_or_else(|| raw::open(&file.path, file.status() & OPEN_FLAGS));
        if fd >= 0 {
            raw::lseek(fd as i32, file.offset(), 0);
            self.pool.adopt(&descriptor.real, fd);
            self.pool.remember_inherited(file.id, fd as i32);
        }
    }
}
