//! The packets in which LTTng writes the metadata's text.

/// What each packet begins with (CTF 1.8, section 7).
const MAGIC: u32 = 0x75d1_1d57;
/// Bytes of a packet's header.
const HEADER: usize = 37;

/// Returns the text of a metadata file, which is in packets or plain. Fails if a packet is damaged
/// or cut off.
pub(crate) fn text(bytes: &[u8]) -> Result<String, String> {
    let word = |at: usize, big: bool| {
        let b: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
    };
    let Some(big) = [false, true].into_iter().find(|big| word(0, *big) == Some(MAGIC)) else {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    };
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (content, whole) = (
            word(at + 24, big).unwrap_or(0) as usize / 8,
            word(at + 28, big).unwrap_or(0) as usize / 8,
        );
        if word(at, big) != Some(MAGIC) || content < HEADER || whole < content {
            return Err(format!("the metadata has no packet at byte {at}"));
        }
        out.extend_from_slice(
            bytes.get(at + HEADER..at + content).ok_or("the metadata ends within a packet")?,
        );
        at += whole;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
