//! Completes calls of tools that record no data.

use ::import::ImportedCall;
use abi::{FieldKind, Form, Kind};
use linux_raw_sys::general::AT_EMPTY_PATH;

/// Completes a call that was recorded without data:
///
/// - If it succeeded, the data that it read or wrote are added as a payload whose bytes are unknown
///   and whose length is the call's result, unless there are data already.
/// - An empty path that cannot be what the program passed is removed; the argument becomes a null
///   pointer or an unknown address instead.
/// - A null pointer to a struct with its own size becomes an unknown address, as the call needs it.
pub(crate) fn add_unrecorded_data(imported: &mut ImportedCall) {
    let succeeded = imported.call.succeeded();
    let data_bytes = imported.call.ret.max(0).cast_unsigned();
    let has_data = |imported: &ImportedCall, arg: usize| {
        imported
            .call
            .payloads
            .iter()
            .any(|p| usize::from(p.arg) == arg && p.kind == trace::record::PayloadKind::Data)
    };
    for (arg, spec) in imported.row.spec(&imported.call.args).args.iter().enumerate() {
        match spec.kind {
            Kind::In(_, layout) | Kind::Out(_, layout)
                if layout.form == Form::Data
                    && succeeded
                    && !has_data(imported, arg)
                    && imported.row.spec.ret == abi::Ret::Bytes =>
            {
                imported.add_data(arg, &[], data_bytes);
            }
            Kind::InIov { .. } | Kind::OutIov { .. } if succeeded && !has_data(imported, arg) => {
                imported.add_data(arg, &[], data_bytes);
            }
            Kind::Path(path_use) if succeeded && imported.call.string(arg as u8) == Some(b"") => {
                // An empty path without AT_EMPTY_PATH was a null pointer (futimens(3)), or could
                // not be read by the tool.
                let args = imported.row.spec.args.iter().zip(imported.call.args);
                let may_be_empty = args.into_iter().any(|(spec, value)| {
                    matches!(spec.kind, Kind::Flags(set) if set.name == "AT_")
                        && value & u64::from(AT_EMPTY_PATH) != 0
                });
                if !may_be_empty
                    && path_use.dir.is_some()
                    && imported.row.spec.ret != abi::Ret::Count
                {
                    imported.call.payloads.retain(|p| usize::from(p.arg) != arg);
                    // utimensat(2) and the like accept a null pointer.
                    let may_be_null =
                        imported.row.spec.args.iter().any(|spec| spec.name == "utimes");
                    imported
                        .set_number(arg, if may_be_null { 0 } else { ::import::UNKNOWN_ADDRESS });
                }
            }
            Kind::Out(_, layout) if layout.fields.iter().any(|f| f.kind == FieldKind::Size) => {
                imported.set_pointer_if_null(arg);
            }
            _ => {}
        }
    }
}
