//! Writes the initial content of files, from a snapshot and from the trace's calls.

use super::make::{TreeBuilder, write_at};
use super::{PrepareError, create_error};
use crate::source::Cause;
use ahash::HashMap;
use model::files::{Copied, FileType, Origin, Row};
use rustix::fs::OFlags;
use std::io;
use trace::Item;
use trace::record::PayloadKind;

/// Files kept open while content is written.
const OPEN_FILES: usize = 64;

impl<'a> TreeBuilder<'a> {
    /// Writes the bytes that the snapshot holds into the files.
    pub fn write_snapshot(
        &mut self,
        copied: impl Iterator<Item = Result<Copied, Cause>>,
    ) -> Result<(), PrepareError> {
        let rows: &'a [Row] = self.rows;
        let by_file: HashMap<u32, &'a Row> =
            rows.iter().rev().filter_map(|r| Some((r.file?, r))).collect();
        for copied in copied {
            let Copied { file, offset, len, bytes } = copied.map_err(PrepareError::Trace)?;
            let Some(row) = by_file
                .get(&file)
                .filter(|row| row.initial.as_ref().is_some_and(|s| s.kind == FileType::Regular))
            else {
                continue;
            };
            match bytes {
                Some(bytes) => self
                    .write_data(row, file, offset, &bytes)
                    .map_err(|e| create_error("write the initial content of", &row.path, e))?,
                // A hole is known to be one.
                None => self.done.assumed = self.done.assumed.saturating_sub(len),
            }
        }
        Ok(())
    }

    /// Writes the initial content that calls of the trace show into the files. `origins` and
    /// `items` must be in the same order.
    pub fn write_origins(
        &mut self,
        origins: impl Iterator<Item = Result<Origin, Cause>>,
        items: impl Iterator<Item = Result<Item, Cause>>,
    ) -> Result<(), PrepareError> {
        let rows: &'a [Row] = self.rows;
        let by_file: HashMap<u32, &'a Row> =
            rows.iter().rev().filter_map(|r| Some((r.file?, r))).collect();
        let mut calls = items.filter_map(|item| match item {
            Ok(Item::Call(call)) => Some(Ok(call)),
            Ok(Item::Event(_)) => None,
            Err(e) => Some(Err(PrepareError::Trace(e))),
        });
        let mut call = None;
        for origin in origins {
            let origin = origin.map_err(PrepareError::Trace)?;
            let missing = || PrepareError::Content { file: origin.file, seq: origin.seq };
            while call.as_ref().is_none_or(|c: &trace::Call| c.seq != origin.seq) {
                call = Some(calls.next().ok_or_else(missing)??);
            }
            // A file that had lost its name when the recording began has no row.
            let part =
                self.outside_data.and_then(|(parts, row)| Some((parts.get(&origin.file)?, row)));
            let row = part.map(|(_, row)| row).or_else(|| by_file.get(&origin.file).copied());
            let (Some(call), Some(row)) = (&call, row) else { continue };
            if row.initial.as_ref().is_none_or(|s| s.kind != FileType::Regular) {
                continue;
            }
            let mut at = origin.at;
            let mut offset = origin.offset;
            let mut left = origin.len;
            if let Some((part, _)) = part {
                let Some(within) = offset.checked_sub(part.from).filter(|at| *at < part.len) else {
                    continue;
                };
                offset = part.base + within;
                left = left.min(part.len - within);
            }
            for payload in call.payloads.iter().filter(|p| p.kind == PayloadKind::Data) {
                if left == 0 {
                    break;
                }
                let bytes = payload.bytes.as_slice();
                let Some(part) = usize::try_from(at).ok().and_then(|at| bytes.get(at..)) else {
                    at -= bytes.len() as u64;
                    continue;
                };
                let part = &part[..part.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
                self.write_data(row, origin.file, offset, part)
                    .map_err(|e| create_error("write the initial content of", &row.path, e))?;
                offset += part.len() as u64;
                left -= part.len() as u64;
                at = 0;
            }
            if left > 0 {
                return Err(missing());
            }
        }
        Ok(())
    }

    /// Writes `bytes` at `offset` of a file, except where the file must have a hole.
    fn write_data(&mut self, row: &Row, file: u32, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let index = match self.open.iter().position(|(f, _)| *f == file) {
            Some(index) => index,
            None => {
                if self.open.len() >= OPEN_FILES {
                    self.open.pop_front();
                }
                self.open.push_back((file, self.tree.get(&row.path, OFlags::WRONLY)?));
                self.open.len() - 1
            }
        };
        let fd = &self.open[index].1;
        let end = offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
        let mut from = offset;
        for (start, stop) in
            row.holes.iter().map(|&(s, n)| (s, s.saturating_add(n))).chain([(end, end)])
        {
            let until = start.min(end);
            if from < until {
                write_at(fd, &bytes[(from - offset) as usize..(until - offset) as usize], from)?;
                self.done.bytes += until - from;
            }
            from = from.max(stop.min(end));
        }
        Ok(())
    }
}
