//! Writes calls into the journal.

use super::Import;
use crate::call::ImportedCall;
use abi::Role;
use trace::record::{Header, PART_BYTES, PayloadHeader, RecordKind};
use trace::{Call, Error, Journal, Payload};

impl Import {
    /// Writes a call into the journal. If its payloads are long, records with parts of them come
    /// before it.
    pub(super) fn write_call(journal: &mut Journal, call: &Call) -> Result<(), Error> {
        let exited = call.exited.unwrap_or(call.entered);
        let header = Header {
            kind: RecordKind::Call as u8,
            flags: call.flags,
            pid: call.pid,
            tid: call.tid,
            nr: call.nr,
            entered: call.entered,
            left: exited,
            ret: call.ret,
            args: call.args,
            ..Header::default()
        };
        let bytes: usize = call.payloads.iter().map(|payload| payload.bytes.len()).sum();
        if bytes <= PART_BYTES {
            journal.begin(header);
            for payload in &call.payloads {
                write_payload(journal, payload, payload.bytes.as_slice());
            }
            return journal.commit();
        }
        for payload in &call.payloads {
            for part in payload.bytes.as_slice().chunks(PART_BYTES) {
                journal.begin(Header { kind: RecordKind::Part as u8, ..header });
                write_payload(journal, payload, part);
                journal.commit()?;
            }
        }
        journal.begin(header);
        journal.commit()
    }

    /// Writes the inferred renames into a journal of their own, as they come before calls that are
    /// already written.
    pub(super) fn write_renames(&mut self) -> Result<(), Error> {
        let mut inferred = std::mem::take(&mut self.files.moves.inferred_renames);
        if inferred.is_empty() {
            return Ok(());
        }
        inferred.sort_by_key(|m| m.first_use.time);
        let is_rename = |r: &&abi::Row| {
            r.spec
                .args
                .iter()
                .map(|a| a.kind.path_use().map(|p| p.role))
                .eq([Some(Role::Source), Some(Role::Target)])
        };
        let Some(row) = abi::table().iter().find(is_rename) else { return Ok(()) };
        let (mut added, mut ambiguous) = (0, 0);
        let mut journal = self.recording.journal(1)?;
        for renamed in inferred {
            let [from] = &renamed.possible_old_paths[..] else {
                ambiguous += 1;
                continue;
            };
            let time = renamed.first_use.time.saturating_sub(1);
            let Some(mut imported) = ImportedCall::new(row.name(), renamed.first_use.tid, time)
            else {
                continue;
            };
            imported.add_string(0, from);
            imported.add_string(1, &renamed.new_path);
            imported.set_returned(time, 0);
            imported.call.pid = renamed.first_use.pid;
            Self::write_call(&mut journal, &imported.call)?;
            added += 1;
        }
        journal.finish()?;
        if added > 0 {
            self.add_note(format!(
                "{added} renames that were not recorded were inferred from inode numbers and \
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
