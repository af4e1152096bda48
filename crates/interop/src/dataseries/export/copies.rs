//! Calls that copy inside of the kernel, as records.

use super::*;

impl Exporter {
    /// Writes a call by which the kernel moved data from one file to another (sendfile(2) and the
    /// like) as a read and a write. Returns false, and writes nothing, if the data were not
    /// recorded or the call is no such call.
    pub(crate) fn write_copy(&mut self, call: &Call) -> io::Result<bool> {
        let Some(copies) = call.spec().and_then(|s| s.copies).filter(|_| call.succeeded()) else {
            return Ok(false);
        };
        let moved = call.ret.max(0);
        let mut data = Vec::new();
        call.copied_payloads(&copies).for_each(|p| data.extend_from_slice(p.bytes.as_slice()));
        let numbers = |end: abi::CopyEnd| {
            !matches!(end.at, abi::CopyOffset::Field { .. } | abi::CopyOffset::Start)
        };
        if call.spec().is_none_or(|s| s.ret != abi::Ret::Bytes)
            || data.len() as i64 != moved
            || !numbers(copies.from)
            || !numbers(copies.to)
        {
            return Ok(false);
        }
        for (end, plain, positioned, field) in [
            (copies.from, "read", "pread", "data_read"),
            (copies.to, "write", "pwrite", "data_written"),
        ] {
            let offset = call.copy_offset(end.at);
            let mut values = self.common_fields(call, true);
            values.extend([
                ("descriptor", FieldValue::Int(call.args[usize::from(end.fd)].cast_signed())),
                ("bytes_requested", FieldValue::Int(moved)),
                (field, FieldValue::Bytes(&data)),
            ]);
            values.extend(offset.map(|o| ("offset", FieldValue::Int(o.cast_signed()))));
            self.write_record(if offset.is_some() { positioned } else { plain }, values)?;
        }
        Ok(true)
    }
}
