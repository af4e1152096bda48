//! Imports calls of several records each: vectors, messages, execve.

use super::DataSeriesImport;
use crate::Error;
use crate::dataseries::import::stream::{Row, Stream};
use ::import::ImportedCall;
use dataseries_file::Reader;
use trace::record::PayloadKind;

/// The most buffers that the kernel takes in a call (`UIO_MAXIOV`).
const MAX_BUFFERS: usize = 1024;
/// The most bytes of data that a call's row in a trace can hold.
const MAX_DATA_BYTES: u64 = 256 << 20;
/// The most bytes of memory that the strings of all unfinished execve(2) calls may take.
const MAX_STRING_BYTES: usize = 64 << 20;
/// Bytes of a `struct msghdr`.
const MSGHDR_SIZE: usize = 56;
/// The offset of `msg_iovlen`, the number of buffers, in a `struct msghdr`.
const MSG_IOVLEN_OFFSET: usize = 24;

/// An execve(2) whose last record was not read yet.
#[derive(Default)]
pub(crate) struct Exec {
    entered: u64,
    path: Vec<u8>,
    argv: Vec<u8>,
    envp: Vec<u8>,
}

/// The unfinished execve(2) calls of all threads.
#[derive(Default)]
pub(crate) struct Execs {
    /// By thread id.
    by_thread: ahash::HashMap<u32, Exec>,
    /// Bytes of all their strings.
    bytes: usize,
}

/// The buffers of a call, as far as their records were read.
#[derive(Default)]
struct Buffers {
    /// A `struct iovec` for each buffer.
    iovecs: Vec<u8>,
    /// The data of the buffers up to the first that has unknown bytes.
    data: Vec<u8>,
    /// How many bytes the call moved to or from the buffers so far.
    moved: u64,
}

impl Buffers {
    /// Adds the record of one buffer. `moved_by_call` is how many bytes the whole call read or
    /// wrote.
    fn add_buffer(&mut self, row: Row<'_>, moved_by_call: u64) {
        let requested = row.int("bytes_requested").unwrap_or(0).max(0).cast_unsigned();
        self.iovecs.extend_from_slice(&::import::UNKNOWN_ADDRESS.to_le_bytes());
        self.iovecs.extend_from_slice(&requested.to_le_bytes());
        let moved_here = requested.min(moved_by_call - self.moved);
        let all_known = self.moved == self.data.len() as u64;
        self.moved += moved_here;
        let bytes =
            row.bytes("iov_data_read").or_else(|| row.bytes("iov_data_written")).unwrap_or(&[]);
        // Bytes after missing ones would be at the wrong offset.
        if all_known && row.is_captured() && self.moved <= MAX_DATA_BYTES {
            self.data.extend_from_slice(&bytes[..bytes.len().min(moved_here as usize)]);
        }
    }
}

impl DataSeriesImport {
    /// Imports a vectored call or a message: the next record of `stream`, which is the call's
    /// header, and the records of its buffers, which follow it in the file. The original library
    /// gives the latter a random `unique_id`.
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
        let is_captured = row.is_captured();
        stream.next += 1;
        let moved =
            imported.as_ref().map_or(0, |imported| imported.call.ret.max(0).cast_unsigned());
        let max_buffers = count.map_or(MAX_BUFFERS, |n| n.clamp(0, MAX_BUFFERS as i64) as usize);
        let (mut buffers, mut buffer_count) = (Buffers::default(), 0);
        while buffer_count < max_buffers && stream.next_is_contiguous(reader, &mut self.losses)? {
            let Some(row) =
                stream.current_row().filter(|r| r.int("iov_number") == Some(buffer_count as i64))
            else {
                break;
            };
            buffers.add_buffer(row, moved);
            buffer_count += 1;
            stream.next += 1;
        }
        let Some(mut imported) = imported else { return Ok(()) };
        let Buffers { iovecs, mut data, .. } = buffers;
        imported.set_number(0, fd.unwrap_or(-1).cast_unsigned());
        if imported.row.spec.uses.moves_data {
            imported.set_number(2, count.unwrap_or(buffer_count as i64).cast_unsigned());
        } else {
            let mut header = [0; MSGHDR_SIZE];
            header[MSG_IOVLEN_OFFSET..MSG_IOVLEN_OFFSET + 8]
                .copy_from_slice(&(buffer_count as u64).to_le_bytes());
            imported.add_payload(1, PayloadKind::Msg, true, &header, MSGHDR_SIZE as u64);
            imported.set_number(2, flags.unwrap_or(0).cast_unsigned() & 0xffff_ffff);
        }
        imported.add_payload(1, PayloadKind::Iovecs, true, &iovecs, iovecs.len() as u64);
        if imported.call.succeeded() {
            if !is_captured {
                // Zeros in place of unknown bytes are not data.
                data.clear();
            }
            imported.add_data(1, &data, moved);
        }
        Ok(self.import.add_call(imported)?)
    }

    /// Imports one of the records of an execve(2). The first one has the path, each of the next
    /// ones an argument or environment variable, and the last one the result; the last one adds the
    /// call to the trace.
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
    /// Keeps an execve(2) of this thread until its last record, unless the limit of memory is
    /// reached. Forgets one that the thread has begun before.
    fn begin_exec(&mut self, tid: u32, exec: Exec) {
        self.take_exec(tid);
        if self.bytes + exec.path.len() <= MAX_STRING_BYTES {
            self.bytes += exec.path.len();
            self.by_thread.insert(tid, exec);
        }
    }

    /// Adds an argument or an environment variable to the thread's execve(2), unless the limit of
    /// memory is reached.
    fn add_strings(&mut self, tid: u32, argument: Option<&[u8]>, environment: Option<&[u8]>) {
        let Some(exec) = self.by_thread.get_mut(&tid) else { return };
        for (list, text) in [(&mut exec.argv, argument), (&mut exec.envp, environment)] {
            if let Some(text) = text.filter(|t| self.bytes + t.len() < MAX_STRING_BYTES) {
                list.extend_from_slice(text);
                list.push(0);
                self.bytes += text.len() + 1;
            }
        }
    }

    /// Removes and returns the execve(2) that this thread has begun; `None` if it has begun none.
    fn take_exec(&mut self, tid: u32) -> Option<Exec> {
        let exec = self.by_thread.remove(&tid)?;
        self.bytes -= exec.path.len() + exec.argv.len() + exec.envp.len();
        Some(exec)
    }
}
