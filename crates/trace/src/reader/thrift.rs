//! Walking over the Thrift structures of a Parquet file (compact protocol), to judge their numbers
//! before the Parquet reader believes them.
//!
//! Invariant: never more memory than the structure has bytes, never deeper than [`DEEPEST`] structs
//! and lists. A list that claims more elements than bytes are left is refused.

/// No structure of Parquet is nested deeper.
const DEEPEST: usize = 12;

/// Why a structure is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where an integer stands: the numbers of the fields that lead to it, outermost first; elements of
/// lists have none.
pub(super) type Place<'a> = &'a [i16];

/// A structure under examination.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    place: Vec<i16>,
    /// Structs and lists around what is read now.
    depth: usize,
}

impl<'a> Walk<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, place: Vec::with_capacity(DEEPEST), depth: 0 }
    }

    /// Walks over one struct, tells `see` of every integer, and gives the struct's length in bytes.
    pub fn structure(mut self, see: &mut dyn FnMut(Place<'_>, i64)) -> Result<usize, Malformed> {
        self.nested(|walk| walk.fields(see))?;
        Ok(self.at)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let b = *self.bytes.get(self.at).ok_or(Malformed)?;
        self.at += 1;
        Ok(b)
    }

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

    fn integer(&mut self) -> Result<i64, Malformed> {
        let n = self.number()?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    fn skip(&mut self, n: usize) -> Result<(), Malformed> {
        self.at = self.at.checked_add(n).filter(|at| *at <= self.bytes.len()).ok_or(Malformed)?;
        Ok(())
    }

    /// Reads what is nested one level deeper.
    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.depth >= DEEPEST {
            return Err(Malformed);
        }
        self.depth += 1;
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn fields(&mut self, see: &mut dyn FnMut(Place<'_>, i64)) -> Result<(), Malformed> {
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
            self.place.push(id);
            // A boolean field is its type.
            if !matches!(head & 15, 1 | 2) {
                self.value(head & 15, see)?;
            }
            self.place.pop();
        }
    }

    fn value(&mut self, of: u8, see: &mut dyn FnMut(Place<'_>, i64)) -> Result<(), Malformed> {
        match of {
            1..=3 => self.skip(1),
            4..=6 => {
                let n = self.integer()?;
                see(&self.place, n);
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
                self.nested(|walk| (0..count).try_for_each(|_| walk.value(head & 15, see)))
            }
            12 => self.nested(|walk| walk.fields(see)),
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
        let len =
            Walk::new(&bytes).structure(&mut |place, n| seen.push((place.to_vec(), n))).unwrap();
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
