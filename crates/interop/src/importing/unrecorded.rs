//! What a tool that records no data leaves out of a call.

use ::import::ImportedCall;
use abi::{Form, Is, Kind};
use linux_raw_sys::general::AT_EMPTY_PATH;

/// Fills in, as unknown, what the call moved: so many bytes. And pointers that the other tool does not show.
pub(crate) fn unrecorded(told: &mut ImportedCall) {
    let succeeded = told.call.succeeded();
    let moved = told.call.ret.max(0).cast_unsigned();
    let told_of = |told: &ImportedCall, arg: usize| {
        told.call
            .payloads
            .iter()
            .any(|p| usize::from(p.arg) == arg && p.kind == trace::record::PayloadKind::Data)
    };
    for (arg, a) in told.row.shape(&told.call.args).args.iter().enumerate() {
        match a.kind {
            Kind::In(_, layout) | Kind::Out(_, layout)
                if layout.form == Form::Data
                    && succeeded
                    && !told_of(told, arg)
                    && told.row.shape.ret == abi::Ret::Bytes =>
            {
                told.data(arg, &[], moved);
            }
            Kind::InIov { .. } | Kind::OutIov { .. } if succeeded && !told_of(told, arg) => {
                told.data(arg, &[], moved);
            }
            Kind::Path(used) if succeeded && told.call.string(arg as u8) == Some(b"") => {
                // An empty name that nobody allowed to be empty was none (futimens(3)), or stood where the tool could not read.
                let allowed = told
                    .row
                    .shape
                    .args
                    .iter()
                    .zip(told.call.args)
                    .any(|(a, v)| matches!(a.kind, Kind::Flags(set) if set.name == "AT_" && v & u64::from(AT_EMPTY_PATH) != 0));
                if !allowed && used.dir.is_some() && told.row.shape.ret != abi::Ret::Count {
                    told.call.payloads.retain(|p| usize::from(p.arg) != arg);
                    let optional = told.row.shape.args.iter().any(|a| a.name == "utimes");
                    told.number(arg, if optional { 0 } else { ::import::UNKNOWN_ADDRESS });
                }
            }
            Kind::Out(_, layout) if layout.fields.iter().any(|f| f.is == Is::Size) => {
                told.pointer_if_none(arg);
            }
            _ => {}
        }
    }
}
