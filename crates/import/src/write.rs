//! Writes calls into the journal.

use super::Import;
use crate::call::ImportedCall;
use abi::Role;
use trace::record::{Header, PART_BYTES, PayloadHeader, RecordKind};
use trace::{Call, Error, Journal, Payload};

impl Import {
    /// Writes a call into the journal. If it has much data, records with parts of them come before
    /// it.
    pub(super) fn write_call(journal: &mut Journal, call: &Call) -> Result<(), Error> {
        let left = call.exited.unwrap_or(call.entered);
        let header = Header {
            kind: RecordKind::Call as u8,
            flags: call.flags,
            pid: call.pid,
            tid: call.tid,
            nr: call.nr,
            entered: call.entered,
            left,
            ret: call.ret,
            args: call.args,
            ..Header::default()
        };
        let bytes: usize = call.payloads.iter().map(|p| p.bytes.len()).sum();
        if bytes <= PART_BYTES {
            journal.begin(header);
            for p in &call.payloads {
                write_payload(journal, p, p.bytes.as_slice());
            }
            return journal.commit();
        }
        for p in &call.payloads {
            for part in p.bytes.as_slice().chunks(PART_BYTES) {
                journal.begin(Header { kind: RecordKind::Part as u8, ..header });
                write_payload(journal, p, part);
                journal.commit()?;
            }
        }
        journal.begin(header);
        journal.commit()
    }

    /// Writes the inferred renames into a journal of their own, as they come before calls that are
    /// already written.
    pub(super) fn write_renames(&mut self) -> Result<(), Error> {
        let mut inferred = std::mem::take(&mut self.files.moves.inferred);
        if inferred.is_empty() {
            return Ok(());
        }
        inferred.sort_by_key(|m| m.first.time);
        let roles = |r: &&abi::Row| {
            r.spec
                .args
                .iter()
                .map(|a| a.kind.path_use().map(|p| p.role))
                .eq([Some(Role::Source), Some(Role::Target)])
        };
        let Some(row) = abi::table().iter().find(roles) else { return Ok(()) };
        let (mut made_up, mut ambiguous) = (0, 0);
        let mut journal = self.recording.journal(1)?;
        for renamed in inferred {
            let [from] = &renamed.from[..] else {
                ambiguous += 1;
                continue;
            };
            let time = renamed.first.time.saturating_sub(1);
            let Some(mut imported) = ImportedCall::new(row.name(), renamed.first.tid, time) else {
                continue;
            };
            imported.add_string(0, from);
            imported.add_string(1, &renamed.to);
            imported.set_returned(time, 0);
            imported.call.pid = renamed.first.pid;
            Self::write_call(&mut journal, &imported.call)?;
            made_up += 1;
        }
        journal.finish()?;
        if made_up > 0 {
            self.add_note(format!(
                "{made_up} renames that were not recorded were inferred from inode numbers and \
                 added"
            ));
        }
        if ambiguous > 0 {
            self.add_note(format!(
                "{ambiguous} files appeared at names where no recorded call created them"
            ));
        }
        Ok(())
    }
}

/// Adds the bytes of a payload, or of a part of it, to the current record.
pub(super) fn write_payload(journal: &mut Journal, p: &Payload, bytes: &[u8]) {
    journal.add_payload(
        PayloadHeader {
            arg: p.arg,
            kind: p.kind as u8,
            flags: p.flags,
            pad: 0,
            len: 0,
            wanted: p.wanted,
        },
        bytes,
    );
}
