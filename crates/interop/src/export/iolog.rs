//! fio's iolog, version 3 (`fio --read_iolog`): reads, writes, syncs and trims of each file, times in microseconds from the first of them.
//!
//! fio takes names without blanks only, and offsets and lengths; data it makes up itself.

use super::{Told, Writer};
use abi::Effect;
use std::collections::BTreeSet;
use std::io::{self, Write};

#[derive(Default)]
pub(super) struct Iolog {
    began: Option<u64>,
    last: u64,
    open: BTreeSet<String>,
}

const PUNCH: u64 = 2;

impl Writer for Iolog {
    fn call(&mut self, told: &Told<'_>, out: &mut dyn Write) -> io::Result<bool> {
        let call = told.call;
        let Some(shape) = call.shape().filter(|_| call.succeeded()) else { return Ok(false) };
        let Some(file) =
            told.bound.fds.iter().flatten().next().map(|d| &d.file).filter(|f| f.is_stored())
        else {
            return Ok(false);
        };
        let action = match (told.moved(), shape.effect) {
            (Some((0, _)), _) => return Ok(false),
            (Some((n, reads)), _) => match told.bound.offset {
                Some(offset) => format!("{} {offset} {n}", if reads { "read" } else { "write" }),
                None => return Ok(false),
            },
            (None, Effect::Allocate) if call.args[1] & PUNCH != 0 => {
                format!("trim {} {}", call.args[2], call.args[3])
            }
            _ if shape.name == "fsync" => "sync 0 0".to_owned(),
            _ if shape.name == "fdatasync" => "datasync 0 0".to_owned(),
            _ => return Ok(false),
        };
        let path = String::from_utf8_lossy(&file.path).into_owned();
        if path.contains(char::is_whitespace) || !path.starts_with('/') {
            return Ok(false);
        }
        let began = *self.began.get_or_insert_with(|| {
            self.last = 0;
            call.entered
        });
        // fio takes no time that lies before another's.
        self.last = self.last.max(call.entered.saturating_sub(began) / 1000);
        if self.open.is_empty() {
            out.write_all(b"fio version 3 iolog\n")?;
        }
        if self.open.insert(path.clone()) {
            writeln!(out, "{0} {path} add\n{0} {path} open", self.last)?;
        }
        writeln!(out, "{} {path} {action}", self.last)?;
        Ok(true)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.open.is_empty() {
            out.write_all(b"fio version 3 iolog\n")?;
        }
        for path in &self.open {
            writeln!(out, "{} {path} close", self.last)?;
        }
        Ok(())
    }
}
