//! Reading the tables about files that inference wrote into a trace.

use crate::files::{
    Change, Copied, CopiedReader, FILES, INITIAL, OUTSIDE, Origin, Origins, Row, SNAPSHOT, UNNAMED,
    Unnamed, read_changes, read_rows,
};
use trace::{Error, Trace, catch_panics};

/// The tables about files of a sealed trace. Each is checked before it is read.
pub trait Tables {
    /// The manifest: all names that the trace touched, in the order of their paths.
    fn files(&self) -> Result<Vec<Row>, Error>;
    /// Files that were open when the recording began and had lost their names.
    fn unnamed(&self) -> Result<Vec<Unnamed>, Error>;
    /// Changes that no recorded call made, in the order in which calls found them.
    fn outside(&self) -> Result<Vec<Change>, Error>;
    /// Where the trace holds bytes of initial content, in the order in which the trace is read.
    fn origins(&self) -> Result<impl Iterator<Item = Result<Origin, Error>> + use<Self>, Error>;
    /// What the snapshot holds, if there is one.
    fn snapshot(&self) -> Result<impl Iterator<Item = Result<Copied, Error>> + use<Self>, Error>;
}

impl Tables for Trace {
    fn files(&self) -> Result<Vec<Row>, Error> {
        let file = self.table(FILES)?;
        catch_panics(FILES, || read_rows(file).map_err(|e| Error::damaged(FILES, e.to_string())))
    }

    fn unnamed(&self) -> Result<Vec<Unnamed>, Error> {
        if !self.has_table(UNNAMED) {
            return Ok(Vec::new());
        }
        let file = self.table(UNNAMED)?;
        catch_panics(UNNAMED, || {
            let rows = read_rows(file).map_err(|e| Error::damaged(UNNAMED, e.to_string()))?;
            rows.into_iter()
                .map(|row| {
                    Unnamed::from_row(row)
                        .ok_or_else(|| Error::damaged(UNNAMED, "a row names no inode"))
                })
                .collect()
        })
    }

    fn outside(&self) -> Result<Vec<Change>, Error> {
        if !self.has_table(OUTSIDE) {
            return Ok(Vec::new());
        }
        let file = self.table(OUTSIDE)?;
        catch_panics(OUTSIDE, || {
            read_changes(file).map_err(|e| Error::damaged(OUTSIDE, e.to_string()))
        })
    }

    fn origins(&self) -> Result<impl Iterator<Item = Result<Origin, Error>> + use<>, Error> {
        let file = self.table(INITIAL)?;
        let mut origins = catch_panics(INITIAL, || {
            Origins::open(file).map_err(|e| Error::damaged(INITIAL, e.to_string()))
        })?;
        let next = move || {
            catch_panics(INITIAL, || {
                origins.next().transpose().map_err(|e| Error::damaged(INITIAL, e.to_string()))
            })
            .transpose()
        };
        Ok(std::iter::from_fn(next))
    }

    fn snapshot(&self) -> Result<impl Iterator<Item = Result<Copied, Error>> + use<>, Error> {
        let mut copied = match self.has_table(SNAPSHOT) {
            true => {
                let file = self.table(SNAPSHOT)?;
                Some(catch_panics(SNAPSHOT, || {
                    CopiedReader::open(file).map_err(|e| Error::damaged(SNAPSHOT, e.to_string()))
                })?)
            }
            false => None,
        };
        let mut read = move || {
            copied
                .as_mut()
                .and_then(Iterator::next)
                .transpose()
                .map_err(|e| Error::damaged(SNAPSHOT, e.to_string()))
        };
        let next = move || catch_panics(SNAPSHOT, &mut read).transpose();
        Ok(std::iter::from_fn(next))
    }
}
