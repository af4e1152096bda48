//! The packets in which LTTng writes the metadata's text.

/// What each packet begins with (CTF 1.8, section 7).
const MAGIC: u32 = 0x75d1_1d57;
/// Bytes of a packet's header.
const HEADER_BYTES: usize = 37;

/// Returns the text of a metadata file, which is in packets or plain. Fails if a packet is damaged
/// or cut off.
pub(crate) fn text(bytes: &[u8]) -> Result<String, String> {
    let word = |offset: usize, big_endian: bool| {
        let bytes: [u8; 4] = bytes.get(offset..offset + 4)?.try_into().ok()?;
        Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let has_magic = |big_endian: &bool| word(0, *big_endian) == Some(MAGIC);
    let Some(big_endian) = [false, true].into_iter().find(has_magic) else {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    };
    let (mut out, mut offset) = (Vec::new(), 0);
    while offset < bytes.len() {
        let content_bytes = word(offset + 24, big_endian).unwrap_or(0) as usize / 8;
        let packet_bytes = word(offset + 28, big_endian).unwrap_or(0) as usize / 8;
        if word(offset, big_endian) != Some(MAGIC)
            || content_bytes < HEADER_BYTES
            || packet_bytes < content_bytes
        {
            return Err(format!("the metadata has no packet at byte {offset}"));
        }
        out.extend_from_slice(
            bytes
                .get(offset + HEADER_BYTES..offset + content_bytes)
                .ok_or("the metadata ends within a packet")?,
        );
        offset += packet_bytes;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
