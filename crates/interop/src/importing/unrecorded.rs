//! Completes calls of tools that record no data.

use ::import::ImportedCall;
use abi::{FieldKind, Form, Kind};
use linux_raw_sys::general::AT_EMPTY_PATH;

/// Adds the data that the call read or wrote as so many unknown bytes, and pointers that the other
/// tool does not show.
pub(crate) fn add_unrecorded_data(imported: &mut ImportedCall) {
    let succeeded = imported.call.succeeded();
    let moved = imported.call.ret.max(0).cast_unsigned();
    let has_data = |imported: &ImportedCall, arg: usize| {
        imported
            .call
            .payloads
            .iter()
            .any(|p| usize::from(p.arg) == arg && p.kind == trace::record::PayloadKind::Data)
    };
    for (arg, a) in imported.row.spec(&imported.call.args).args.iter().enumerate() {
        match a.kind {
            Kind::In(_, layout) | Kind::Out(_, layout)
                if layout.form == Form::Data
                    && succeeded
                    && !has_data(imported, arg)
                    && imported.row.spec.ret == abi::Ret::Bytes =>
            {
                imported.add_data(arg, &[], moved);
            }
            Kind::InIov { .. } | Kind::OutIov { .. } if succeeded && !has_data(imported, arg) => {
                imported.add_data(arg, &[], moved);
            }
            Kind::Path(used) if succeeded && imported.call.string(arg as u8) == Some(b"") => {
                // An empty path without AT_EMPTY_PATH was a null pointer (futimens(3)), or could
                // not be read by the tool.
                let allowed =
                    imported.row.spec.args.iter().zip(imported.call.args).any(|(a, v)| {
                        matches!(a.kind, Kind::Flags(set) if set.name == "AT_")
                            && v & u64::from(AT_EMPTY_PATH) != 0
                    });
                if !allowed && used.dir.is_some() && imported.row.spec.ret != abi::Ret::Count {
                    imported.call.payloads.retain(|p| usize::from(p.arg) != arg);
                    let optional = imported.row.spec.args.iter().any(|a| a.name == "utimes");
                    imported.set_number(arg, if optional { 0 } else { ::import::UNKNOWN_ADDRESS });
                }
            }
            Kind::Out(_, layout) if layout.fields.iter().any(|f| f.kind == FieldKind::Size) => {
                imported.set_pointer_if_null(arg);
            }
            _ => {}
        }
    }
}
