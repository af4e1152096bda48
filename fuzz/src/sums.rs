//! Lengths and checksums as they must be, so that mutated bytes reach the decoders. That wrong ones
//! are noticed is shown by the crates' own tests.

use serde_json::Value;

/// Puts the lengths and hashes of `files` into their `trace.json`, if that is a document.
pub fn put_right_hashes(files: &mut [(String, Vec<u8>)]) {
    let Some(at) = files.iter().position(|(name, _)| name == "trace.json") else { return };
    let Ok(mut document) = serde_json::from_slice::<Value>(&files[at].1) else { return };
    for list in ["segments", "tables"] {
        for sealed in document.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(sealed) = sealed.as_object_mut() else { continue };
            let name = sealed.get("file").and_then(Value::as_str);
            let file = files.iter().find(|(file, _)| Some(&**file) == name);
            if let Some((_, bytes)) = file {
                sealed.insert("bytes".to_owned(), bytes.len().into());
                sealed.insert("blake3".to_owned(), blake3::hash(bytes).to_hex().as_str().into());
            }
        }
    }
    files[at].1 = document.to_string().into_bytes();
}

/// Bytes of the head of a journal's frame; the first four are its magic, the next four the
/// checksum of what follows, then comes the length of the records.
const HEAD: usize = 40;

/// Puts the lengths and checksums of a journal's frames right. A frame reaches to the next magic.
pub fn put_right_frames(journal: &mut [u8]) {
    let magic = |at: &usize| matches!(&journal[*at..*at + 4], b"RAJ3" | b"RAR3" | b"RAF3");
    let last = journal.len().saturating_sub(HEAD - 1);
    let starts: Vec<usize> = (0..last).filter(magic).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([journal.len()]).collect();
    for (start, end) in starts.into_iter().zip(ends) {
        let Some(records) = (end - start).checked_sub(HEAD) else { continue };
        let frame = &mut journal[start..end];
        frame[8..12].copy_from_slice(&u32::try_from(records).unwrap_or(u32::MAX).to_le_bytes());
        let crc = crc_fast::crc32_iscsi(&frame[8..]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
    }
}
