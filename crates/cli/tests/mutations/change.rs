//! How files are damaged, and how they are forged: with all sums right.

use super::Random;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Damages some bytes.
pub fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => {
                let odd = random.odd().to_le_bytes();
                let n = odd.len().min(bytes.len() - at);
                bytes[at..at + n].copy_from_slice(&odd[..n]);
            }
            2 => bytes.extend_from_within(at..),
            3 => drop(bytes.drain(at..(at + random.below(64) as usize).min(bytes.len()))),
            _ if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            _ => {}
        }
        if bytes.is_empty() {
            return;
        }
    }
}

/// Changes lines and numbers of a text.
pub fn forge_text(bytes: &mut Vec<u8>, random: &mut Random) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for _ in 0..=random.below(3) {
        if lines.is_empty() {
            return;
        }
        let at = random.below(lines.len() as u64) as usize;
        match random.below(8) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = random.below(lines.len() as u64) as usize;
                lines.swap(at, other);
            }
            3 => {
                let many = 1 + random.below(200) as usize;
                let line = lines[at].clone();
                lines.splice(at..at, std::iter::repeat_n(line, many));
            }
            4 => {
                let mut line = std::mem::take(&mut lines[at]).into_bytes();
                damage(&mut line, random);
                lines[at] = String::from_utf8_lossy(&line).into_owned();
            }
            _ => lines[at] = other_number(&lines[at], random),
        }
    }
    *bytes = lines.concat().into_bytes();
}

/// The line with one of its numbers replaced.
fn other_number(line: &str, random: &mut Random) -> String {
    let starts: Vec<usize> = line
        .char_indices()
        .filter(|(i, c)| c.is_ascii_digit() && !line[..*i].ends_with(|p: char| p.is_ascii_digit()))
        .map(|(i, _)| i)
        .collect();
    let Some(start) = starts.get(random.below(starts.len() as u64) as usize) else {
        return line.to_owned();
    };
    let rest = line[*start..].trim_start_matches(|c: char| c.is_ascii_digit());
    let number = match random.below(3) {
        0 => (random.odd() as i64).to_string(),
        1 => random.odd().to_string(),
        _ => random.below(300).to_string(),
    };
    format!("{}{number}{rest}", &line[..*start])
}

/// Changes values of a JSON document.
pub fn forge_json(bytes: &mut Vec<u8>, random: &mut Random) {
    let Ok(mut document) = serde_json::from_slice::<Value>(bytes) else {
        return damage(bytes, random);
    };
    for _ in 0..=random.below(2) {
        forge_value(&mut document, random);
    }
    *bytes = document.to_string().into_bytes();
}

fn forge_value(value: &mut Value, random: &mut Random) {
    match value {
        Value::Object(map) if !map.is_empty() && random.below(30) != 0 => {
            let key = map.keys().nth(random.below(map.len() as u64) as usize).cloned();
            let key = key.expect("there is one");
            if random.below(20) == 0 {
                map.remove(&key);
            } else if let Some(inner) = map.get_mut(&key) {
                forge_value(inner, random);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = random.below(list.len() as u64) as usize;
            match random.below(4) {
                0 => drop(list.remove(at)),
                1 => {
                    let many = 1 + random.below(40) as usize;
                    let same = list[at].clone();
                    list.splice(at..at, std::iter::repeat_n(same, many));
                }
                _ => forge_value(&mut list[at], random),
            }
        }
        Value::Number(_) => *value = random.odd().into(),
        Value::Bool(b) => *b = !*b,
        Value::String(text) => {
            let mut bytes = std::mem::take(text).into_bytes();
            damage(&mut bytes, random);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        other => *other = Value::Null,
    }
}

/// Puts lengths and hashes as they are into `trace.json`.
pub fn rehash(files: &mut [(PathBuf, Vec<u8>)]) {
    let of = |files: &[(PathBuf, Vec<u8>)], name: &str| {
        files.iter().find(|(path, _)| path.ends_with(name)).map(|(_, bytes)| bytes.clone())
    };
    let document = of(files, "trace.json").and_then(|d| serde_json::from_slice::<Value>(&d).ok());
    let Some(mut document) = document else { return };
    for list in ["segments", "tables"] {
        for sealed in document[list].as_array_mut().into_iter().flatten() {
            let bytes = sealed["file"].as_str().and_then(|name| of(files, name));
            if let (Some(bytes), Some(sealed)) = (bytes, sealed.as_object_mut()) {
                sealed.insert("bytes".into(), bytes.len().into());
                let hash = blake3::hash(&bytes).to_hex();
                sealed.insert("blake3".into(), hash.as_str().into());
            }
        }
    }
    let is_document = |path: &Path| path.ends_with("trace.json");
    if let Some((_, bytes)) = files.iter_mut().find(|(path, _)| is_document(path)) {
        *bytes = document.to_string().into_bytes();
    }
}

/// A journal: its frames, each a head of 40 bytes and records.
pub struct Frames(Vec<Vec<u8>>);

const HEAD: usize = 40;

impl Frames {
    /// Takes a sound journal apart.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        while rest.len() >= HEAD && rest.starts_with(b"RA") {
            let len = u32::from_le_bytes(rest[8..12].try_into().ok()?) as usize;
            let frame = rest.get(..HEAD + len)?;
            frames.push(frame.to_vec());
            rest = &rest[HEAD + len..];
        }
        (!frames.is_empty()).then_some(Self(frames))
    }

    /// Changes records, and sometimes frames.
    pub fn forge(&mut self, random: &mut Random) {
        for _ in 0..=random.below(4) {
            let at = random.below(self.0.len() as u64) as usize;
            let frame = &mut self.0[at];
            // Damage may have left less than a word.
            if frame.len() < HEAD + 8 {
                continue;
            }
            let words = (frame.len() - HEAD) as u64 / 8;
            let word = HEAD + 8 * random.below(words) as usize;
            match random.below(10) {
                0 => {
                    let same = frame.clone();
                    self.0.insert(at, same);
                }
                1 => {
                    let mut records = frame.split_off(HEAD);
                    damage(&mut records, random);
                    frame.extend(records);
                }
                2 => frame[16 + random.below(24) as usize] ^= 1 << random.below(8),
                3..6 => frame[word..word + 8].copy_from_slice(&random.odd().to_le_bytes()),
                6 => {
                    let half = (random.odd() as u32).to_le_bytes();
                    frame[word + 4..word + 8].copy_from_slice(&half);
                }
                _ => {
                    let byte = HEAD + random.below((frame.len() - HEAD) as u64) as usize;
                    frame[byte] = random.odd() as u8;
                }
            }
        }
    }

    /// The journal, with the right lengths and sums.
    pub fn sealed(self) -> Vec<u8> {
        let mut all = Vec::new();
        for mut frame in self.0 {
            let len = (frame.len() - HEAD) as u32;
            frame[8..12].copy_from_slice(&len.to_le_bytes());
            let crc = crc32c(&frame[8..]);
            frame[4..8].copy_from_slice(&crc.to_le_bytes());
            all.extend(frame);
        }
        all
    }
}

/// CRC-32C (Castagnoli).
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    };
    !bytes.iter().fold(!0, step)
}
