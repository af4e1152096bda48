//! Printing takes anything: arguments and captured bytes may be garbage.

use abi::print::{
    Captured, CapturedKind, Hex, Options, Payload, arguments, formed, result, signature,
};
use proptest::prelude::*;

struct Anything<'a> {
    payloads: &'a [(u8, Vec<u8>)],
    more: bool,
}

impl Captured for Anything<'_> {
    fn payload(&self, arg: u8, part: CapturedKind, after: bool) -> Option<Payload<'_>> {
        let at = (arg as usize * 9 + part as usize + usize::from(after) * 5)
            % self.payloads.len().max(1);
        let (kept, bytes) = self.payloads.get(at)?;
        (kept % 3 != 0).then_some(Payload { bytes, more: self.more })
    }
    fn note(&self, arg: u8) -> Option<String> {
        Some(format!("/file/{arg}"))
    }
}

fn options() -> impl Strategy<Value = Options> {
    let hex = prop_oneof![Just(Hex::Never), Just(Hex::Binary), Just(Hex::Always)];
    (0usize..40, 0usize..40, any::<bool>(), hex)
        .prop_map(|(strings, elements, whole, hex)| Options { whole, strings, elements, hex })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_call(
        row in 0..abi::table().len(),
        variant in 0usize..80,
        args: [u64; 6],
        small: [bool; 6],
        ret: Option<i64>,
        payloads in prop::collection::vec(
            (any::<u8>(), prop::collection::vec(any::<u8>(), 0..200)),
            0..8,
        ),
        more: bool,
        o in options(),
    ) {
        let row = &abi::table()[row];
        let mut args = args;
        for (arg, small) in args.iter_mut().zip(small) {
            *arg = if small { *arg & 0xff } else { *arg };
        }
        if let Some((value, _)) = row.variants.get(variant) {
            args[row.selector as usize] = *value;
        }
        let spec = row.spec(&args);
        let mut out = String::new();
        arguments(spec, &args, &Anything { payloads: &payloads, more }, &o, &mut out);
        result(spec.ret, ret, &mut out);
        prop_assert!(!signature(spec).is_empty());
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), more: bool, o in options()) {
        for layout in crate::structs::layouts() {
            let mut out = String::new();
            formed(layout, Payload { bytes: &bytes, more }, &o, &mut out);
            prop_assert!(!out.is_empty());
        }
    }
}
