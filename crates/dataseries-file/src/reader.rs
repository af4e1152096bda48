//! Reads a DataSeries file, extent by extent from its beginning or at given offsets. A file whose
//! writer was killed has neither index nor tail: its extents are returned, and then an error.

use crate::Error;
use crate::extent::{Extent, ExtentHeader, HEADER_BYTES, Value};
use crate::hash::{TAIL_SEED, chain_checksum, continue_hash};
use crate::types::{INDEX_TYPE, Types, XML_TYPE};
use crate::unpack::Order;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes of the file's header.
const FILE_HEADER_BYTES: u64 = 40;
/// Bytes of the tail at the file's end.
const TAIL_BYTES: usize = 28;

/// Returns whether a file that starts with these bytes is a DataSeries file.
pub fn is_dataseries(start: &[u8]) -> bool {
    start.starts_with(b"DSv1")
}

/// An extent's offset in the file, and its type.
#[derive(Clone, Debug)]
pub struct ExtentPlace {
    /// The offset in the file.
    pub offset: u64,
    /// The name of the type of its records.
    pub type_name: String,
}

/// A file that is being read.
pub struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    order: Order,
    /// The types of its records.
    pub types: Types,
    /// The offset of the extent that is read next.
    position: u64,
    chained_checksum: u32,
    /// Whether the index and the tail were read and are sound: the file is complete.
    pub whole: bool,
}

impl Reader {
    /// Opens a file, and reads the types of its records. Fails if it is no DataSeries file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = BufReader::new(File::open(path).map_err(Error::io("open", path))?);
        let mut header = [0; FILE_HEADER_BYTES as usize];
        let alien = |what: &str| Error::Alien { path: path.to_owned(), what: what.to_owned() };
        file.read_exact(&mut header).map_err(|_| alien("it ends within its header"))?;
        if !is_dataseries(&header) {
            return Err(alien("it does not begin with DSv1"));
        }
        let order = match u32::from_le_bytes([header[4], header[5], header[6], header[7]]) {
            0x1234_5678 => Order { swapped: false },
            0x7856_3412 => Order { swapped: true },
            _ => return Err(alien("its byte order is unknown")),
        };
        if order.u64(&header[8..]) != 0x1234_5678_9abc_def0 {
            return Err(alien("its header has wrong numbers"));
        }
        let mut this = Self {
            file,
            path: path.to_owned(),
            order,
            types: Types::default(),
            position: FILE_HEADER_BYTES,
            chained_checksum: 0,
            whole: false,
        };
        let types = this
            .next_extent()?
            .filter(|e| e.record_type.name == XML_TYPE)
            .ok_or_else(|| alien("it has no types"))?;
        for i in 0..types.records {
            let Value::Bytes(xml) = types.value(i, 0) else { continue };
            let xml = String::from_utf8_lossy(xml);
            this.types
                .add_type(xml.trim_end_matches('\0'))
                .map_err(|what| Error::damage(path, types.offset, what))?;
        }
        Ok(this)
    }

    /// Returns the offset at which the next extent begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads the next extent of records, and adds its checksums to the chained one. Returns `None`
    /// when the next extent is the index, which ends the file; the tail after it is checked then,
    /// too. After an error the rest of the file cannot be read.
    pub fn next_extent(&mut self) -> Result<Option<Extent>, Error> {
        let (header, bytes) = self.read_raw()?;
        let offset = self.position;
        self.position += bytes.len() as u64;
        let extent = self.unpack(&header, &bytes, offset)?;
        self.chained_checksum =
            chain_checksum(self.chained_checksum, header.content_hash ^ header.adler);
        if extent.record_type.name != INDEX_TYPE {
            return Ok(Some(extent));
        }
        self.check_tail(offset, bytes.len())?;
        Ok(None)
    }

    /// Returns the offset and type of the next extent, and the extent itself if `wanted` returns
    /// true for the name of its type and it is not damaged. Returns `None` when the next extent is
    /// the index, which ends the file; the tail after it is checked then, too.
    pub fn next_extent_if(
        &mut self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Option<(ExtentPlace, Option<Extent>)>, Error> {
        let (header, bytes) = self.read_raw()?;
        let offset = self.position;
        self.position += bytes.len() as u64;
        let type_name = type_name(&header, &bytes);
        if type_name == INDEX_TYPE {
            self.check_tail(offset, bytes.len())?;
            return Ok(None);
        }
        let extent =
            if wanted(&type_name) { self.unpack(&header, &bytes, offset).ok() } else { None };
        Ok(Some((ExtentPlace { offset, type_name }, extent)))
    }

    /// Reads the extent at this offset, whatever was read last. [`Self::position`] is then its
    /// offset, and not the one after it.
    pub fn read_at(&mut self, offset: u64) -> Result<Extent, Error> {
        self.position = offset;
        self.file.seek(SeekFrom::Start(offset)).map_err(Error::io("read", &self.path))?;
        let (header, bytes) = self.read_raw()?;
        self.unpack(&header, &bytes, offset)
    }

    /// Returns the error for damage at the current position.
    fn damage_error(&self, what: impl Into<String>) -> Error {
        Error::damage(&self.path, self.position, what)
    }

    /// Decompresses an extent that was read from this offset. Fails if its type is none of the
    /// file's or the extent is damaged.
    fn unpack(&self, header: &ExtentHeader, bytes: &[u8], offset: u64) -> Result<Extent, Error> {
        let name = type_name(header, bytes);
        let record_type = self.types.get(&name).ok_or_else(|| {
            Error::damage(&self.path, offset, format!("an extent of the unknown type {name:?}"))
        })?;
        Extent::unpack(header, bytes, offset, record_type.clone(), self.order).map_err(|what| {
            Error::damage(&self.path, offset, format!("an extent of {name}: {what}"))
        })
    }

    /// Reads the extent at the current position without decompressing it. Returns its header, and
    /// all its bytes with those of the header. Fails if the file ends before the extent does.
    fn read_raw(&mut self) -> Result<(ExtentHeader, Vec<u8>), Error> {
        let mut start = [0; HEADER_BYTES];
        let short = |this: &Self| {
            this.damage_error(
                "the file ends here, without its index: its writer was killed, or it was cut",
            )
        };
        if let Err(e) = self.file.read_exact(&mut start) {
            return Err(if e.kind() == std::io::ErrorKind::UnexpectedEof {
                short(self)
            } else {
                Error::io("read", &self.path)(e)
            });
        }
        if start[..4] == [0xff; 4] {
            return Err(self.damage_error("the tail is where the index should be"));
        }
        let header =
            ExtentHeader::parse(&start, self.order).map_err(|what| self.damage_error(what))?;
        let mut bytes = start.to_vec();
        let rest = (header.total_bytes() - HEADER_BYTES) as u64;
        let read = (&mut self.file)
            .take(rest)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", &self.path))?;
        if (read as u64) < rest { Err(short(self)) } else { Ok((header, bytes)) }
    }

    /// Reads the tail, which follows the index at the end of the file, and sets [`Self::whole`].
    /// `index_offset` and `index_bytes` are where the index is and how long. Fails if the tail does
    /// not say the same, or is damaged.
    fn check_tail(&mut self, index_offset: u64, index_bytes: usize) -> Result<(), Error> {
        let mut tail = [0; TAIL_BYTES];
        self.file
            .read_exact(&mut tail)
            .map_err(|_| self.damage_error("the file ends within its tail"))?;
        let u32_at = |offset: usize| self.order.u32(&tail[offset..]);
        let sound = tail[..4] == [0xff; 4]
            && u32_at(4) as usize == index_bytes
            && u32_at(8) == !u32_at(4)
            && self.order.u64(&tail[16..]) == index_offset
            && u32_at(24) == continue_hash(TAIL_SEED, &tail[..24]);
        if !sound {
            return Err(self.damage_error("the tail is not that of this file"));
        }
        self.whole = true;
        Ok(())
    }

    /// Returns the chained checksum of the extents that [`Self::next_extent`] has read so far.
    /// Files of newer writers repeat that of the whole file in their tail.
    pub fn chained_checksum(&self) -> u32 {
        self.chained_checksum
    }
}

/// Returns the name of an extent's type. `bytes` are the extent's, with its header.
fn type_name(header: &ExtentHeader, bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[HEADER_BYTES..][..header.name_bytes]).into_owned()
}
