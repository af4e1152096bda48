//! Events: threads that begin and end, and what was open when the recording began.

use super::Dispatcher;
use crate::Error;
use crate::issue::raw::{self, OPEN_FLAGS, open_directory};
use trace::Event;
use trace::record::RecordKind;

impl Dispatcher<'_> {
    pub(super) fn event(&mut self, event: &Event) -> Result<(), Error> {
        let gone = self.world.event(event);
        if matches!(event.kind, RecordKind::Start | RecordKind::State | RecordKind::Exec) {
            self.known.insert(event.tid);
        }
        match event.kind {
            RecordKind::State => {
                self.catch_up()?;
                if let Some(cwd) = self.world.directory(event.tid) {
                    let unnamed = self.unnamed.directory(event);
                    let fd = unnamed.unwrap_or_else(|| open_directory(&cwd.path));
                    self.pool.opened(&cwd.real, fd);
                }
            }
            RecordKind::Descriptor if !event.is_mapping() => {
                self.catch_up()?;
                self.present(event);
            }
            RecordKind::Start => {
                self.pacer.born(event.tid, event.time);
                self.builder.born(event.tid, event.args[1] as u32);
            }
            _ => {}
        }
        self.release(event.tid, gone, self.number)?;
        if event.kind == RecordKind::Exit {
            self.pacer.gone(event.tid);
            self.pool.leave(event.tid);
        }
        Ok(())
    }

    /// Waits for the executors: what is looked at next is to be what the calls until now left.
    fn catch_up(&mut self) -> Result<(), Error> {
        if self.number == 0 || self.reached() == self.number {
            return Ok(());
        }
        self.open_gate();
        self.wait(self.number)
    }

    /// Opens what was open when the recording began. Descriptors that share an offset share it
    /// here.
    fn present(&mut self, event: &Event) {
        let Some(descriptor) = self.world.descriptor(event.tid, event.args[0] as i32) else {
            return;
        };
        let file = &descriptor.file;
        if !file.is_stored() {
            return;
        }
        if let Some(first) = self.pool.present(file.id) {
            self.pool.opened(&descriptor.real, raw::duplicate(first, true));
            return;
        }
        let unnamed = self.unnamed.file(event);
        let fd = unnamed.unwrap_or_else(|| raw::open(&file.path, file.status() & OPEN_FLAGS));
        if fd >= 0 {
            raw::seek(fd as i32, file.offset(), 0);
            self.pool.opened(&descriptor.real, fd);
            self.pool.remember(file.id, fd as i32);
        }
    }
}
