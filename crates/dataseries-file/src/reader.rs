//! Reads a DataSeries file extent by extent from its beginning. A file whose writer was killed has
//! neither index nor tail, and is read as far as it goes.

use crate::Error;
use crate::extent::{Extent, HEAD, Head, Value};
use crate::hash::{TAIL, continue_hash, mix_to_one};
use crate::types::{INDEX_TYPE, Types, XML_TYPE};
use crate::unpack::Order;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const HEADER: u64 = 40;
const TAIL_BYTES: usize = 28;

/// Returns whether a file that starts with these bytes is a DataSeries file.
pub fn is_dataseries(start: &[u8]) -> bool {
    start.starts_with(b"DSv1")
}

/// An extent that stands in the file.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where.
    pub offset: u64,
    /// Its type's name.
    pub kind: String,
}

/// A file that is being read.
pub struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    order: Order,
    /// Its types.
    pub types: Types,
    at: u64,
    chain: u32,
    /// The tail was read: the file is whole.
    pub whole: bool,
}

impl Reader {
    /// Opens a file, and reads the types of its records. Fails if it is no DataSeries file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = BufReader::new(File::open(path).map_err(Error::io("open", path))?);
        let mut header = [0; HEADER as usize];
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
            at: HEADER,
            chain: 0,
            whole: false,
        };
        let types = this
            .next_extent()?
            .filter(|e| e.kind.name == XML_TYPE)
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
        self.at
    }

    /// Reads the next extent of records. Returns `None` after the last. After an error the rest of
    /// the file cannot be read.
    pub fn next_extent(&mut self) -> Result<Option<Extent>, Error> {
        let Some((head, bytes)) = self.read_raw()? else { return Ok(None) };
        let offset = self.at;
        self.at += bytes.len() as u64;
        let extent = self.unpack(&head, &bytes, offset)?;
        self.chain = mix_to_one(head.hash ^ head.adler, self.chain, crate::hash::CONTENT);
        if extent.kind.name != INDEX_TYPE {
            return Ok(Some(extent));
        }
        self.check_tail(offset, bytes.len())?;
        Ok(None)
    }

    /// Returns the offset and type of the next extent, and the extent itself if its type is
    /// `wanted` and it is sound. Returns `None` after the last.
    pub fn next_extent_if(
        &mut self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Option<(Place, Option<Extent>)>, Error> {
        let Some((head, bytes)) = self.read_raw()? else { return Ok(None) };
        let offset = self.at;
        self.at += bytes.len() as u64;
        let kind = String::from_utf8_lossy(&bytes[HEAD..HEAD + head.name_bytes]).into_owned();
        if kind == INDEX_TYPE {
            self.check_tail(offset, bytes.len())?;
            return Ok(None);
        }
        let extent = if wanted(&kind) { self.unpack(&head, &bytes, offset).ok() } else { None };
        Ok(Some((Place { offset, kind }, extent)))
    }

    /// Reads the extent at this offset, whatever was read last.
    pub fn read_at(&mut self, offset: u64) -> Result<Extent, Error> {
        self.at = offset;
        self.file.seek(SeekFrom::Start(offset)).map_err(Error::io("read", &self.path))?;
        match self.read_raw()? {
            Some((head, bytes)) => self.unpack(&head, &bytes, offset),
            None => Err(self.damage_error("there is no extent here")),
        }
    }

    /// Returns the error for damage at the current position.
    fn damage_error(&self, what: impl Into<String>) -> Error {
        Error::damage(&self.path, self.at, what)
    }

    /// Decompresses an extent of a known type. Fails if the type is unknown or the extent is
    /// damaged.
    fn unpack(&self, head: &Head, bytes: &[u8], offset: u64) -> Result<Extent, Error> {
        let name = String::from_utf8_lossy(&bytes[HEAD..HEAD + head.name_bytes]).into_owned();
        let kind = self.types.get(&name).ok_or_else(|| {
            Error::damage(&self.path, offset, format!("an extent of the unknown type {name:?}"))
        })?;
        Extent::unpack(head, bytes, offset, kind.clone(), self.order).map_err(|what| {
            Error::damage(&self.path, offset, format!("an extent of {name}: {what}"))
        })
    }

    /// Reads the bytes of the extent at the current position.
    fn read_raw(&mut self) -> Result<Option<(Head, Vec<u8>)>, Error> {
        let mut start = [0; HEAD];
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
        let head = Head::parse(&start, self.order).map_err(|what| self.damage_error(what))?;
        let mut bytes = start.to_vec();
        let rest = (head.total_bytes() - HEAD) as u64;
        let n = (&mut self.file)
            .take(rest)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", &self.path))?;
        if (n as u64) < rest { Err(short(self)) } else { Ok(Some((head, bytes))) }
    }

    /// Checks what follows the index at the end of the file.
    fn check_tail(&mut self, index: u64, index_bytes: usize) -> Result<(), Error> {
        let mut tail = [0; TAIL_BYTES];
        self.file
            .read_exact(&mut tail)
            .map_err(|_| self.damage_error("the file ends within its tail"))?;
        let n = |at: usize| self.order.u32(&tail[at..]);
        let sound = tail[..4] == [0xff; 4]
            && n(4) as usize == index_bytes
            && n(8) == !n(4)
            && self.order.u64(&tail[16..]) == index
            && n(24) == continue_hash(TAIL, &tail[..24]);
        if !sound {
            return Err(self.damage_error("the tail is not that of this file"));
        }
        self.whole = true;
        Ok(())
    }

    /// Returns the chained checksum of the extents read so far, which files of newer writers repeat
    /// at their end.
    pub fn chained_checksum(&self) -> u32 {
        self.chain
    }
}
