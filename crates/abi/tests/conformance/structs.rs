//! Structs: against the running kernel's types.

use crate::btf::Btf;
use abi::{FieldKind, Form, Kind, Layout};

/// Layouts whose C name is not the kernel's own name for the struct.
const SPELT: &[(&str, &str)] = &[
    ("struct timespec", "__kernel_timespec"),
    ("struct timeval", "__kernel_old_timeval"),
    ("struct itimerspec", "__kernel_itimerspec"),
    ("struct itimerval", "__kernel_old_itimerval"),
    ("stack_t", "sigaltstack"),
    ("siginfo_t", "siginfo"),
    ("struct utsname", "new_utsname"),
    ("struct msghdr", "user_msghdr"),
    ("struct termios", "termios"),
];

/// Fields whose name the kernel spells otherwise, as `linux-raw-sys` had to.
const FIELDS: &[(&str, &str)] = &[
    ("type_", "type"),
    ("si_pid", "_sifields._kill._pid"),
    ("si_uid", "_sifields._kill._uid"),
    ("si_status", "_sifields._sigchld._status"),
];

/// Structs that the kernel's types do not have, and why.
const UNKNOWN: &[(&str, &str)] = &[
    ("struct sockaddr", "a form of its own"),
    ("struct linux_dirent", "a form of its own"),
    ("struct linux_dirent64", "a form of its own"),
    ("struct mmsghdr", "the kernel's own has another msghdr in it; 64 bytes by its user_msghdr"),
    ("struct timezone", "8 bytes, two ints"),
];

/// Every layout that the table reaches.
pub fn layouts() -> Vec<&'static Layout> {
    let mut all: Vec<&'static Layout> =
        vec![&abi::layout::MSGHDR, &abi::layout::MMSGHDR, &abi::layout::IOCB];
    for row in abi::table() {
        for spec in std::iter::once(&row.spec).chain(row.variants.iter().map(|(_, s)| s)) {
            for arg in spec.args {
                if let Kind::In(_, l) | Kind::Out(_, l) | Kind::InOut(_, l) = arg.kind
                    && !all.iter().any(|a| a.name == l.name && a.form == l.form)
                {
                    all.push(l);
                }
            }
        }
    }
    all
}

#[test]
fn every_struct_is_laid_out_as_in_the_running_kernel() {
    let btf = Btf::load();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for layout in layouts().into_iter().filter(|l| matches!(l.form, Form::Struct | Form::Array)) {
        let spelt = SPELT.iter().find(|(ours, _)| *ours == layout.name).map(|(_, theirs)| *theirs);
        let Some(name) = spelt.or_else(|| layout.name.strip_prefix("struct ")) else { continue };
        let Some(size) = btf.size(name) else {
            if !UNKNOWN.iter().any(|(n, _)| *n == layout.name) {
                wrong.push(format!("{}: the kernel has no struct {name}", layout.name));
            }
            continue;
        };
        checked += 1;
        // Structs with a size argument grow with the kernel; ours may be the older, shorter one.
        if layout.size > size {
            wrong.push(format!("{}: {} bytes, the kernel's has {size}", layout.name, layout.size));
        }
        for field in layout.fields.iter().filter(|f| !f.name.is_empty()) {
            let spelt = FIELDS
                .iter()
                .find(|(ours, _)| *ours == field.name)
                .map_or(field.name, |(_, theirs)| theirs);
            match btf.member(name, spelt) {
                Some(theirs) if theirs == (field.at, u32::from(field.size)) => {}
                theirs => wrong.push(format!(
                    "{}.{}: at {} of {} bytes, the kernel says {theirs:?}",
                    layout.name, field.name, field.at, field.size
                )),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 40, "only {checked} structs were found");
}

#[test]
fn fields_lie_inside_and_apart() {
    for layout in layouts() {
        let mut end = 0;
        let mut fields: Vec<_> = layout.fields.iter().collect();
        fields.sort_by_key(|f| f.at);
        for field in fields {
            assert!(field.at >= end || layout.size == 0, "{}.{} overlaps", layout.name, field.name);
            end = field.at + u32::from(field.size);
            assert!(
                matches!(field.size, 1 | 2 | 4 | 8) || field.kind == FieldKind::Text,
                "{}.{}: {} bytes",
                layout.name,
                field.name,
                field.size
            );
        }
        assert!(
            end <= layout.size || layout.fields.is_empty(),
            "{} ends before its fields",
            layout.name
        );
    }
}
