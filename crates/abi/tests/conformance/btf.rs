//! Reads the running kernel's types (`/sys/kernel/btf/vmlinux`, `Documentation/bpf/btf.rst`):
//! structs, their members and sizes, and enumerations.

use std::collections::HashMap;

struct Type {
    kind: u32,
    /// Size, or the type that this one stands for.
    size_or_type: u32,
    members: Vec<(String, u32, u32)>,
    element: Option<(u32, u32)>,
}

/// The kernel's types.
pub struct Btf {
    types: Vec<Type>,
    structs: HashMap<String, usize>,
    enumerations: HashMap<String, Vec<(String, u32)>>,
}

impl Btf {
    /// Reads them; panics if the kernel does not tell them.
    pub fn load() -> Self {
        let raw = std::fs::read("/sys/kernel/btf/vmlinux")
            .expect("this test needs /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)");
        let word = |at: usize| u32::from_le_bytes(raw[at..at + 4].try_into().unwrap());
        assert_eq!(u16::from_le_bytes([raw[0], raw[1]]), 0xeb9f, "BTF's magic");
        let (head, types_at, types_len, strings_at) =
            (word(4) as usize, word(8) as usize, word(12) as usize, word(16) as usize);
        let string = |at: u32| {
            let start = head + strings_at + at as usize;
            let end = start + raw[start..].iter().position(|b| *b == 0).unwrap();
            String::from_utf8_lossy(&raw[start..end]).into_owned()
        };
        let mut types = vec![Type { kind: 0, size_or_type: 0, members: vec![], element: None }];
        let (mut structs, mut enumerations) = (HashMap::new(), HashMap::new());
        let mut at = head + types_at;
        while at < head + types_at + types_len {
            let (name, info, size_or_type) = (string(word(at)), word(at + 4), word(at + 8));
            let (kind, count, bit_fields) =
                (info >> 24 & 0x1f, (info & 0xffff) as usize, info >> 31 == 1);
            at += 12;
            let mut members = vec![];
            let mut element = None;
            match kind {
                1 | 14 | 17 => at += 4,
                3 => {
                    element = Some((word(at), word(at + 8)));
                    at += 12;
                }
                4 | 5 => {
                    for i in 0..count {
                        let offset = word(at + 12 * i + 8);
                        members.push((
                            string(word(at + 12 * i)),
                            word(at + 12 * i + 4),
                            if bit_fields { offset & 0xff_ffff } else { offset },
                        ));
                    }
                    at += 12 * count;
                }
                6 => {
                    let value = |i: usize| (string(word(at + 8 * i)), word(at + 8 * i + 4));
                    enumerations.insert(name.clone(), (0..count).map(value).collect());
                    at += 8 * count;
                }
                13 => at += 8 * count,
                15 | 19 => at += 12 * count,
                _ => {}
            }
            if kind == 4 && !name.is_empty() {
                structs.insert(name, types.len());
            }
            types.push(Type { kind, size_or_type, members, element });
        }
        Self { types, structs, enumerations }
    }

    /// The names and values of an enumeration.
    pub fn enumeration(&self, name: &str) -> Option<&[(String, u32)]> {
        self.enumerations.get(name).map(Vec::as_slice)
    }

    /// A struct's size in bytes.
    pub fn size(&self, name: &str) -> Option<u32> {
        Some(self.types[*self.structs.get(name)?].size_or_type)
    }

    /// Offset and size in bytes of a member (`st_mode`, `it_value.tv_sec`), also of one inside a
    /// nameless union or struct.
    pub fn member(&self, name: &str, path: &str) -> Option<(u32, u32)> {
        let mut at = *self.structs.get(name)?;
        let (mut offset, mut size) = (0, 0);
        for part in path.split('.') {
            let (more, ty) = self.find(at, part)?;
            offset += more;
            at = self.resolve(ty);
            size = self.bytes(at);
        }
        Some((offset, size))
    }

    fn find(&self, at: usize, name: &str) -> Option<(u32, usize)> {
        self.types[at].members.iter().find_map(|(member, ty, bits)| {
            if member == name {
                return Some((bits / 8, *ty as usize));
            }
            let (more, ty) =
                member.is_empty().then(|| self.find(self.resolve(*ty as usize), name)).flatten()?;
            Some((bits / 8 + more, ty))
        })
    }

    /// Through typedef, const, volatile and restrict.
    fn resolve(&self, mut at: usize) -> usize {
        while matches!(self.types[at].kind, 8..=11 | 18) {
            at = self.types[at].size_or_type as usize;
        }
        at
    }

    fn bytes(&self, at: usize) -> u32 {
        let ty = &self.types[self.resolve(at)];
        match ty.element {
            Some((element, count)) => self.bytes(element as usize) * count,
            None if ty.kind == 2 => 8,
            None => ty.size_or_type,
        }
    }
}
