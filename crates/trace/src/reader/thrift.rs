//! Walks over the Thrift structures (compact protocol) of a Parquet file, so that their numbers can
//! be checked before the Parquet reader uses them.
//!
//! Invariant: the walk uses at most as much memory as the structure has bytes, and at most
//! [`MAX_DEPTH`] levels of nested structs and lists. A list that claims more elements than there
//! are bytes left is refused.

/// The deepest nesting that is accepted. Structures of Parquet are less deep.
const MAX_DEPTH: usize = 12;

/// The structure is invalid or nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The position of an integer: the ids of the fields that lead to it, the outermost first. An
/// element of a list adds no id.
pub(super) type FieldPath<'a> = &'a [i16];

/// A walk over one structure.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    field_path: Vec<i16>,
    /// The number of structs and lists around the current position.
    depth: usize,
}

impl<'a> Walk<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, field_path: Vec::with_capacity(MAX_DEPTH), depth: 0 }
    }

    /// Walks over one struct, calls `visit` for each integer, and returns the length of the struct
    /// in bytes.
    pub fn structure(
        mut self,
        visit: &mut dyn FnMut(FieldPath<'_>, i64),
    ) -> Result<usize, Malformed> {
        self.nested(|walk| walk.fields(visit))?;
        Ok(self.at)
    }

    /// Reads one byte.
    fn byte(&mut self) -> Result<u8, Malformed> {
        let b = *self.bytes.get(self.at).ok_or(Malformed)?;
        self.at += 1;
        Ok(b)
    }

    /// Reads an unsigned LEB128 integer.
    fn number(&mut self) -> Result<u64, Malformed> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            n |= u64::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(Malformed)
    }

    /// Reads a zigzag-encoded integer.
    fn integer(&mut self) -> Result<i64, Malformed> {
        let n = self.number()?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    /// Skips `n` bytes.
    fn skip(&mut self, n: usize) -> Result<(), Malformed> {
        self.at = self.at.checked_add(n).filter(|at| *at <= self.bytes.len()).ok_or(Malformed)?;
        Ok(())
    }

    /// Calls `read` for what is nested one level deeper. Fails if that is too deep.
    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.depth >= MAX_DEPTH {
            return Err(Malformed);
        }
        self.depth += 1;
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    /// Walks over the fields of a struct up to its end.
    fn fields(&mut self, visit: &mut dyn FnMut(FieldPath<'_>, i64)) -> Result<(), Malformed> {
        let mut id = 0i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(());
            }
            id = match head >> 4 {
                0 => i16::try_from(self.integer()?).map_err(|_| Malformed)?,
                delta => id.checked_add(i16::from(delta)).ok_or(Malformed)?,
            };
            self.field_path.push(id);
            // A boolean field is its type.
            if !matches!(head & 15, 1 | 2) {
                self.value(head & 15, visit)?;
            }
            self.field_path.pop();
        }
    }

    /// Walks over a value whose compact-protocol type is `of`.
    fn value(
        &mut self,
        of: u8,
        visit: &mut dyn FnMut(FieldPath<'_>, i64),
    ) -> Result<(), Malformed> {
        match of {
            1..=3 => self.skip(1),
            4..=6 => {
                let n = self.integer()?;
                visit(&self.field_path, n);
                Ok(())
            }
            7 => self.skip(8),
            8 => {
                let n = usize::try_from(self.number()?).map_err(|_| Malformed)?;
                self.skip(n)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
                if count > (self.bytes.len() - self.at) as u64 {
                    return Err(Malformed);
                }
                self.nested(|walk| (0..count).try_for_each(|_| walk.value(head & 15, visit)))
            }
            12 => self.nested(|walk| walk.fields(visit)),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_with_everything() {
        // 1: i32 = -3, 2: true, 5: list<i32>[1, 2], 6: binary "ab", 7: struct { 20: i64 = 64 }
        let bytes = [
            0x15, 5, 0x11, 0x39, 0x25, 2, 4, 0x18, 2, b'a', b'b', 0x1c, 0x06, 40, 0x80, 1, 0, 0, 99,
        ];
        let mut seen = Vec::new();
        let len = Walk::new(&bytes)
            .structure(&mut |field_path, n| seen.push((field_path.to_vec(), n)))
            .unwrap();
        assert_eq!(len, bytes.len() - 1);
        assert_eq!(seen, [(vec![1], -3), (vec![5], 1), (vec![5], 2), (vec![7, 20], 64)]);
    }

    #[test]
    fn lies_about_lengths() {
        for bytes in [
            &[0x19, 0xf5, 0xff, 0xff, 0xff, 0x7f, 0][..],
            &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x1c; 64],
            &[0x19; 64],
            // A list of lists of lists, and one with structs in between: no nesting is free.
            &[&[0x19][..], &[0x19; 1 << 20]].concat(),
            &[&[0x19][..], &[0x1c, 0x19].repeat(1 << 19)].concat(),
            &[],
        ] {
            assert_eq!(Walk::new(bytes).structure(&mut |_, _| {}), Err(Malformed), "{bytes:?}");
        }
    }
}
