//! The 103 types of record that the original library writes, as it describes them: the 14 fields that all have, then each type's own, by name.

use ahash::HashMap;

/// The fields that all have.
const COMMON: &str = "buffer_not_captured:b? errno_number:i? errno_string:v? executing_pgid:i? executing_pid:i? executing_ppid:i? executing_sid:i? executing_tid:i? \
     executing_uid:i? return_value:l? time_called:l? time_recorded:l? time_returned:l? unique_id:l";
/// A line for each type: its name, and its own fields; `b` bool, `y` byte, `i` int32, `l` int64, `v` variable32, `?` nullable.
const TYPES: &str = include_str!("schema.txt");

fn word(letter: &str) -> &'static str {
    match letter {
        "b" => "bool",
        "y" => "byte",
        "i" => "int32",
        "l" => "int64",
        _ => "variable32",
    }
}

fn name(field: &str) -> &str {
    field.split(':').next().unwrap_or(field)
}

/// The flags of each type that are never null, by its last name.
pub(super) fn flags() -> HashMap<&'static str, Vec<&'static str>> {
    let of = |line: &'static str| {
        (
            name(line.split(' ').next().unwrap_or(line)),
            line.split(' ').filter_map(|f| f.strip_suffix(":b")).collect(),
        )
    };
    TYPES.lines().map(of).collect()
}

/// Each type's last name and its description.
pub(super) fn types() -> Vec<(&'static str, String)> {
    let mut names: Vec<&str> = COMMON
        .split(' ')
        .chain(TYPES.lines().flat_map(|l| l.split(' ').skip(1)))
        .map(name)
        .collect();
    names.sort_unstable();
    names.dedup();
    let describe = |line: &'static str| {
        let mut parts = line.split(' ');
        let call = parts.next().unwrap_or(line);
        let mut xml = format!(
            "<ExtentType name=\"{}{call}\" namespace=\"iotta.snia.org\" version=\"1.00\">\n",
            super::rows::PREFIX
        );
        for field in COMMON.split(' ').chain(parts) {
            let (name, kind) = field.split_once(':').unwrap_or((field, "v"));
            let id = names.binary_search(&name).unwrap_or(0);
            let nullable = if kind.ends_with('?') { "yes" } else { "no" };
            xml += &format!(
                "  <field field_id=\"{id}\" name=\"{name}\" type=\"{}\" opt_nullable=\"{nullable}\"/>\n",
                word(kind.trim_end_matches('?'))
            );
        }
        (call, xml + "</ExtentType>\n")
    };
    TYPES.lines().map(describe).collect()
}

/// Our own type: what the trace has that the file has not.
pub(super) fn left_out() -> String {
    format!(
        "<ExtentType name=\"{}\" namespace=\"reanimator\" version=\"1.0\">\n  \
         <field name=\"what\" type=\"variable32\"/>\n  <field name=\"calls\" type=\"int64\"/>\n\
         </ExtentType>\n",
        super::LEFT_OUT
    )
}

/// Which bits of a number are a flag of its own: the flag's field, the number's, the mask, and what stands under it.
const FLAGS: &[(&str, &str, u64, u64)] = &[
    ("flag_read_only", "open_value", 3, 0),
    ("flag_write_only", "open_value", 3, 1),
    ("flag_read_and_write", "open_value", 3, 2),
    ("flag_append", "open_value", 0o2000, 0o2000),
    ("flag_async", "open_value", 0o20000, 0o20000),
    ("flag_close_on_exec", "open_value", 0o2_000_000, 0o2_000_000),
    ("flag_create", "open_value", 0o100, 0o100),
    ("flag_direct", "open_value", 0o40000, 0o40000),
    ("flag_directory", "open_value", 0o200_000, 0o200_000),
    ("flag_exclusive", "open_value", 0o200, 0o200),
    ("flag_largefile", "open_value", 0o100_000, 0o100_000),
    ("flag_no_access_time", "open_value", 0o1_000_000, 0o1_000_000),
    ("flag_no_controlling_terminal", "open_value", 0o400, 0o400),
    ("flag_no_follow", "open_value", 0o400_000, 0o400_000),
    ("flag_no_blocking_mode", "open_value", 0o4000, 0o4000),
    ("flag_no_delay", "open_value", 0o4000, 0o4000),
    ("flag_synchronous", "open_value", 0o4_010_000, 0o4_010_000),
    ("flag_truncate", "open_value", 0o1000, 0o1000),
    ("mode_R_user", "mode_value", 0o400, 0o400),
    ("mode_W_user", "mode_value", 0o200, 0o200),
    ("mode_X_user", "mode_value", 0o100, 0o100),
    ("mode_R_group", "mode_value", 0o40, 0o40),
    ("mode_W_group", "mode_value", 0o20, 0o20),
    ("mode_X_group", "mode_value", 0o10, 0o10),
    ("mode_R_others", "mode_value", 4, 4),
    ("mode_W_others", "mode_value", 2, 2),
    ("mode_X_others", "mode_value", 1, 1),
    ("mode_uid", "mode_value", 0o4000, 0o4000),
    ("mode_gid", "mode_value", 0o2000, 0o2000),
    ("mode_sticky_bit", "mode_value", 0o1000, 0o1000),
    ("mode_read", "mode_value", 4, 4),
    ("mode_write", "mode_value", 2, 2),
    ("mode_execute", "mode_value", 1, 1),
    ("mode_exist", "mode_value", 7, 0),
    ("protection_read", "protection_value", 1, 1),
    ("protection_write", "protection_value", 2, 2),
    ("protection_exec", "protection_value", 4, 4),
    ("protection_none", "protection_value", 7, 0),
    ("flag_shared", "flags_value", 1, 1),
    ("flag_private", "flags_value", 2, 2),
    ("flag_fixed", "flags_value", 0x10, 0x10),
    ("flag_anonymous", "flags_value", 0x20, 0x20),
    ("flag_32bit", "flags_value", 0x40, 0x40),
    ("flag_grows_down", "flags_value", 0x100, 0x100),
    ("flag_denywrite", "flags_value", 0x800, 0x800),
    ("flag_executable", "flags_value", 0x1000, 0x1000),
    ("flag_locked", "flags_value", 0x2000, 0x2000),
    ("flag_no_reserve", "flags_value", 0x4000, 0x4000),
    ("flag_populate", "flags_value", 0x8000, 0x8000),
    ("flag_non_block", "flags_value", 0x10000, 0x10000),
    ("flag_stack", "flags_value", 0x20000, 0x20000),
    ("flag_huge_tlb", "flags_value", 0x40000, 0x40000),
    ("flags_at_symlink_nofollow", "flags_value", 0x100, 0x100),
    ("flags_at_eaccess", "flags_value", 0x200, 0x200),
    ("flags_at_no_automount", "flags_value", 0x800, 0x800),
    ("flags_at_empty_path", "flags_value", 0x1000, 0x1000),
    ("flag_at_symlink_nofollow", "flag_value", 0x100, 0x100),
    ("flag_symlink_nofollow", "flag_value", 0x100, 0x100),
    ("flag_remove_directory", "flag_value", 0x200, 0x200),
    ("flag_symlink_follow", "flag_value", 0x400, 0x400),
    ("flag_empty_path", "flag_value", 0x1000, 0x1000),
    ("flag_xattr_create", "flag_value", 1, 1),
    ("flag_xattr_replace", "flag_value", 2, 2),
    ("flag_oob", "flags_value", 1, 1),
    ("flag_peek", "flags_value", 2, 2),
    ("flag_dontroute", "flags_value", 4, 4),
    ("flag_trunc", "flags_value", 0x20, 0x20),
    ("flag_dontwait", "flags_value", 0x40, 0x40),
    ("flag_donwait", "flags_value", 0x40, 0x40),
    ("flag_eor", "flags_value", 0x80, 0x80),
    ("flag_waitall", "flags_value", 0x100, 0x100),
    ("flag_confirm", "flags_value", 0x800, 0x800),
    ("flag_errqueue", "flags_value", 0x2000, 0x2000),
    ("flag_nosignal", "flags_value", 0x4000, 0x4000),
    ("flag_more", "flags_value", 0x8000, 0x8000),
    ("flag_cmsg_cloexec", "flags_value", 0x4000_0000, 0x4000_0000),
    ("command_dup", "command_value", !0, 0),
    ("command_get_descriptor_flags", "command_value", !0, 1),
    ("command_set_descriptor_flags", "command_value", !0, 2),
    ("command_get_status_flags", "command_value", !0, 3),
    ("command_set_status_flags", "command_value", !0, 4),
    ("command_get_lock", "command_value", !0, 5),
    ("command_set_lock", "command_value", !0, 6),
    ("command_set_lock_wait", "command_value", !0, 7),
    ("command_set_process_id", "command_value", !0, 8),
    ("command_get_process_id", "command_value", !0, 9),
    ("command_set_signal", "command_value", !0, 10),
    ("command_get_signal", "command_value", !0, 11),
    ("command_set_lease", "command_value", !0, 1024),
    ("command_get_lease", "command_value", !0, 1025),
    ("command_notify", "command_value", !0, 1026),
    ("descriptor_current_working_directory", "descriptor", !0, AT_FDCWD),
    ("old_descriptor_current_working_directory", "old_descriptor", !0, AT_FDCWD),
    ("new_descriptor_current_working_directory", "new_descriptor", !0, AT_FDCWD),
    ("flag_vm", "flag_value", 0x100, 0x100),
    ("flag_filesystem", "flag_value", 0x200, 0x200),
    ("flag_files", "flag_value", 0x400, 0x400),
    ("flag_sighand", "flag_value", 0x800, 0x800),
    ("flag_ptrace", "flag_value", 0x2000, 0x2000),
    ("flag_vfork", "flag_value", 0x4000, 0x4000),
    ("flag_parent", "flag_value", 0x8000, 0x8000),
    ("flag_thread", "flag_value", 0x10000, 0x10000),
    ("flag_newns", "flag_value", 0x20000, 0x20000),
    ("flag_sysvsem", "flag_value", 0x40000, 0x40000),
    ("flag_settls", "flag_value", 0x80000, 0x80000),
    ("flag_parent_settid", "flag_value", 0x10_0000, 0x10_0000),
    ("flag_child_cleartid", "flag_value", 0x20_0000, 0x20_0000),
    ("flag_untraced", "flag_value", 0x80_0000, 0x80_0000),
    ("flag_child_settid", "flag_value", 0x100_0000, 0x100_0000),
    ("flag_newuts", "flag_value", 0x400_0000, 0x400_0000),
    ("flag_newipc", "flag_value", 0x800_0000, 0x800_0000),
    ("flag_newuser", "flag_value", 0x1000_0000, 0x1000_0000),
    ("flag_newpid", "flag_value", 0x2000_0000, 0x2000_0000),
    ("flag_newnet", "flag_value", 0x4000_0000, 0x4000_0000),
    ("flag_io", "flag_value", 0x8000_0000, 0x8000_0000),
    ("signal_child", "flag_value", 0xff, 17),
];
const AT_FDCWD: u64 = -100i64 as u64;

/// Whether the flag in field `flag` is set, given the type's numbers. Flags that nothing here says anything of are not.
pub(super) fn flag(flag: &str, number: impl Fn(&str) -> Option<i64>) -> bool {
    let set = |&(name, value, mask, wanted): &(&str, &str, u64, u64)| {
        name == flag && number(value).is_some_and(|v| v.cast_unsigned() & mask == wanted)
    };
    FLAGS.iter().any(set)
}
