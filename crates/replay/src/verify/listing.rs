//! Directory listings: compared as sets of names and types over the whole listing, as every file
//! system has its own order.
//!
//! The first call of a listing reads all of the directory, so that names made or removed while the
//! program reads on do not depend on the order; later calls are issued too and find the rest.

use super::{Mismatch, show_bytes};
use abi::{CallSpec, Form, Kind};
use ahash::HashMap;
use model::files::FileType;
use std::sync::{Mutex, PoisonError};
use trace::Call;
use trace::record::PayloadKind;

/// Names of one directory that are held for comparison; a larger one is not compared.
const MOST: usize = 1 << 20;

#[derive(Default)]
struct Listing {
    /// What was found and not yet named by the recording.
    found: HashMap<Box<[u8]>, u8>,
    /// The first name of the recording that was not found.
    missing: Option<Box<[u8]>>,
    /// Too many, or not recorded: not compared.
    incomparable: bool,
    /// The first difference of types: name, recorded, found.
    type_differs: Option<(Box<[u8]>, u8, u8)>,
}

/// The listings under way, by open file.
#[derive(Default)]
pub(crate) struct Listings(Mutex<HashMap<u64, Listing>>);

/// One call of a listing.
pub(crate) struct ListingCall<'a> {
    pub call: &'a Call,
    /// The argument that takes the names, and their form.
    pub argument: usize,
    pub form: Form,
    /// The open file that is listed.
    pub file: u64,
    /// The directory changed since the listing began.
    pub listing_changed: bool,
}

/// Returns the argument into which a call writes directory entries, and their format. Returns
/// `None` for other calls.
pub(crate) fn listing_argument(spec: &CallSpec) -> Option<(usize, Form)> {
    spec.args.iter().enumerate().find_map(|(i, a)| match a.kind {
        Kind::Out(_, l) if matches!(l.form, Form::Dirents | Form::Dirents64) => Some((i, l.form)),
        _ => None,
    })
}

impl Listings {
    /// Notes that the program lists this open file from its beginning again.
    pub fn rewind(&self, file: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&file);
    }

    /// Compares one call of a listing. `got` is its first result, `buffer` returns the bytes that
    /// came back, and `again` issues it once more. The mismatch comes when the recorded listing
    /// ends.
    pub fn compare_listing<'a>(
        &self,
        listed: &ListingCall<'_>,
        buffer: impl Fn() -> &'a [u8],
        got: i64,
        mut again: impl FnMut() -> i64,
    ) -> Option<Mismatch> {
        let ListingCall { call, argument: i, form, file, listing_changed } = *listed;
        let mut listings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let listing = listings.entry(file).or_default();
        let mut result = got;
        while result > 0 {
            let bytes = buffer();
            for (name, kind) in parse_entries(form, &bytes[..(result as usize).min(bytes.len())]) {
                if listing.found.len() < MOST {
                    listing.found.insert(name.into(), kind);
                } else {
                    listing.incomparable = true;
                }
            }
            result = again();
        }
        let recorded =
            call.payload(i as u8, PayloadKind::Bytes).map_or(&[][..], |p| p.bytes.as_slice());
        // Another tool's trace may tell how many bytes came, and not which.
        listing.incomparable |= recorded.is_empty() && call.ret > 0;
        for (name, kind) in parse_entries(form, recorded) {
            match listing.found.remove(name) {
                // 0: one of the file systems does not say. Devices and sockets are not made.
                Some(found) if found != kind && found != 0 && kind != 0 => {
                    listing.type_differs.get_or_insert((name.into(), kind, found));
                }
                Some(_) => {}
                None if !file_type(kind).performed() => {}
                None => {
                    listing.missing.get_or_insert(name.into());
                }
            }
        }
        if call.ret != 0 {
            return None;
        }
        let listing = listings.remove(&file)?;
        if listing_changed || listing.incomparable {
            return None;
        }
        if let Some((name, expected, found)) = listing.type_differs {
            return Some(Mismatch::new(
                format!("type of {}", show_bytes(&name)),
                file_type(expected).name(),
                file_type(found).name(),
            ));
        }
        if let Some(name) = listing.missing {
            return Some(Mismatch::new("names", show_bytes(&name), "no such name"));
        }
        let extra = listing.found.into_keys().min()?;
        Some(Mismatch::new("names", "no such name", show_bytes(&extra)))
    }
}

/// Converts the type in a directory entry (`DT_*`).
fn file_type(number: u8) -> FileType {
    FileType::of_mode(u32::from(number) << 12)
}

/// Returns the names and types of directory entries.
fn parse_entries(form: Form, mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], u8)> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_le_bytes(bytes.get(16..18)?.try_into().ok()?));
        let entry = bytes.get(..length).filter(|e| e.len() > 19)?;
        bytes = &bytes[length..];
        let (name, kind) = match form {
            // struct linux_dirent: the type is the last byte.
            Form::Dirents => (&entry[18..entry.len() - 1], entry[entry.len() - 1]),
            _ => (&entry[19..], entry[18]),
        };
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        Some((&name[..end], kind))
    })
}
