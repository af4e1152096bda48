//! Imports calls of several records each: vectors, messages, execve.

use super::DataSeriesImport;
use crate::Error;
use crate::dataseries::import::stream::{Row, Stream};
use ::import::ImportedCall;
use dataseries_file::Reader;
use trace::record::PayloadKind;

/// The kernel takes no more buffers in a call.
const BUFFERS: usize = 1024;
/// A call's row in a trace holds no more.
const DATA: u64 = 256 << 20;
/// The strings of all programs that are being started take no more memory.
const STRINGS: usize = 64 << 20;
/// Bytes of a `struct msghdr`.
const HEAD: usize = 56;
/// Where in it the number of vectors stands.
const HEAD_VECTORS: usize = 24;

/// An execve whose last record has not come.
#[derive(Default)]
pub(crate) struct Exec {
    entered: u64,
    path: Vec<u8>,
    argv: Vec<u8>,
    envp: Vec<u8>,
}

/// The execves of all threads.
#[derive(Default)]
pub(crate) struct Execs {
    begun: ahash::HashMap<u32, Exec>,
    bytes: usize,
}

/// The buffers of a call.
#[derive(Default)]
struct Buffers {
    vectors: Vec<u8>,
    data: Vec<u8>,
    /// Bytes of the call's data that the buffers so far hold.
    reached: u64,
}

impl Buffers {
    /// Adds the record of one buffer. `moved` is the number of bytes that the whole call moved.
    fn add_buffer(&mut self, row: Row<'_>, moved: u64) {
        let asked = row.int("bytes_requested").unwrap_or(0).max(0).cast_unsigned();
        self.vectors.extend_from_slice(&::import::UNKNOWN_ADDRESS.to_le_bytes());
        self.vectors.extend_from_slice(&asked.to_le_bytes());
        let due = asked.min(moved - self.reached);
        let whole = self.reached == self.data.len() as u64;
        self.reached += due;
        let bytes =
            row.bytes("iov_data_read").or_else(|| row.bytes("iov_data_written")).unwrap_or(&[]);
        // Bytes after missing ones would be at the wrong offset.
        if whole && row.is_captured() && self.reached <= DATA {
            self.data.extend_from_slice(&bytes[..bytes.len().min(due as usize)]);
        }
    }
}

impl DataSeriesImport {
    /// Imports a header and the records of its buffers, which follow it in the file. The original
    /// library gives the latter a random `unique_id`.
    pub(crate) fn import_vector(
        &mut self,
        stream: &mut Stream,
        reader: &mut Reader,
        name: &str,
    ) -> Result<(), Error> {
        let Some(row) = stream.current_row() else { return Ok(()) };
        if row.int("iov_number") != Some(-1) {
            self.losses.count("buffers without their call");
            stream.next += 1;
            return Ok(());
        }
        let imported = self.begin_call(name, row);
        let (fd, count, flags) = (row.int("descriptor"), row.int("count"), row.int("flags_value"));
        let known = row.is_captured();
        stream.next += 1;
        let moved = imported.as_ref().map_or(0, |t| t.call.ret.max(0).cast_unsigned());
        let most = count.map_or(BUFFERS, |n| n.clamp(0, BUFFERS as i64) as usize);
        let (mut buffers, mut taken) = (Buffers::default(), 0);
        while taken < most && stream.next_belongs(reader, &mut self.losses)? {
            let Some(row) =
                stream.current_row().filter(|r| r.int("iov_number") == Some(taken as i64))
            else {
                break;
            };
            buffers.add_buffer(row, moved);
            taken += 1;
            stream.next += 1;
        }
        let Some(mut imported) = imported else { return Ok(()) };
        let Buffers { vectors, mut data, .. } = buffers;
        imported.set_number(0, fd.unwrap_or(-1).cast_unsigned());
        if imported.row.spec.uses.moves_data {
            imported.set_number(2, count.unwrap_or(taken as i64).cast_unsigned());
        } else {
            let mut head = [0; HEAD];
            head[HEAD_VECTORS..HEAD_VECTORS + 8].copy_from_slice(&(taken as u64).to_le_bytes());
            imported.add_payload(1, PayloadKind::Msg, true, &head, HEAD as u64);
            imported.set_number(2, flags.unwrap_or(0).cast_unsigned() & 0xffff_ffff);
        }
        imported.add_payload(1, PayloadKind::Iovecs, true, &vectors, vectors.len() as u64);
        if imported.call.succeeded() {
            if !known {
                // Zeros in place of unknown bytes are not data.
                data.clear();
            }
            imported.add_data(1, &data, moved);
        }
        Ok(self.import.add_call(imported)?)
    }

    /// Imports one of the records of an execve(2), which has one for each string and one for its
    /// end.
    pub(crate) fn import_exec_part(&mut self, row: Row<'_>) -> Result<(), Error> {
        let Some(tid) = row.tid() else {
            self.losses.count("records without a thread");
            return Ok(());
        };
        let (entered, _) = self.call_times(row);
        match row.int("continuation_number") {
            Some(0) => {
                let path = row.text("given_pathname").unwrap_or_default().to_vec();
                self.execs.begin_exec(tid, Exec { entered, path, ..Exec::default() });
            }
            Some(-1) => {
                let Some(exec) = self.execs.take_exec(tid) else {
                    self.losses.count("execve that returns without a start");
                    return Ok(());
                };
                let Some(mut imported) = ImportedCall::new("execve", tid, exec.entered) else {
                    return Ok(());
                };
                imported.add_string(0, &exec.path);
                imported.add_payload(
                    1,
                    PayloadKind::StrVec,
                    false,
                    &exec.argv,
                    exec.argv.len() as u64,
                );
                imported.add_payload(
                    2,
                    PayloadKind::StrVec,
                    false,
                    &exec.envp,
                    exec.envp.len() as u64,
                );
                let (_, left) = self.call_times(row);
                imported.set_returned(left.max(exec.entered), row.result().unwrap_or(0));
                self.import.add_call(imported)?;
            }
            _ => self.execs.add_strings(tid, row.text("argument"), row.text("environment")),
        }
        Ok(())
    }
}

impl Execs {
    /// Begins an execve(2) of this thread, unless too many strings are kept already.
    fn begin_exec(&mut self, tid: u32, exec: Exec) {
        self.take_exec(tid);
        if self.bytes + exec.path.len() <= STRINGS {
            self.bytes += exec.path.len();
            self.begun.insert(tid, exec);
        }
    }

    /// Adds an argument or a variable of the environment to the thread's execve(2).
    fn add_strings(&mut self, tid: u32, argument: Option<&[u8]>, environment: Option<&[u8]>) {
        let Some(exec) = self.begun.get_mut(&tid) else { return };
        for (list, text) in [(&mut exec.argv, argument), (&mut exec.envp, environment)] {
            if let Some(text) = text.filter(|t| self.bytes + t.len() < STRINGS) {
                list.extend_from_slice(text);
                list.push(0);
                self.bytes += text.len() + 1;
            }
        }
    }

    /// Removes and returns the execve(2) that this thread has begun.
    fn take_exec(&mut self, tid: u32) -> Option<Exec> {
        let exec = self.begun.remove(&tid)?;
        self.bytes -= exec.path.len() + exec.argv.len() + exec.envp.len();
        Some(exec)
    }
}
