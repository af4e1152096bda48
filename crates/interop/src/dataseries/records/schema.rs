//! The 103 types of record that the original library writes, as it describes them: the 14 fields
//! that all have, then each type's own, by name.

use ahash::HashMap;

/// The fields that all have.
const COMMON: &str = "buffer_not_captured:b? errno_number:i? errno_string:v? executing_pgid:i? \
     executing_pid:i? executing_ppid:i? executing_sid:i? executing_tid:i? executing_uid:i? \
     return_value:l? time_called:l? time_recorded:l? time_returned:l? unique_id:l";
/// A line for each type: its name, and its own fields; `b` bool, `y` byte, `i` int32, `l` int64,
/// `v` variable32, `?` nullable.
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
pub(crate) fn flags() -> HashMap<&'static str, Vec<&'static str>> {
    let of = |line: &'static str| {
        (
            name(line.split(' ').next().unwrap_or(line)),
            line.split(' ').filter_map(|f| f.strip_suffix(":b")).collect(),
        )
    };
    TYPES.lines().map(of).collect()
}

/// Each type's last name and its description.
pub(crate) fn types() -> Vec<(&'static str, String)> {
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
            super::arguments::PREFIX
        );
        for field in COMMON.split(' ').chain(parts) {
            let (name, kind) = field.split_once(':').unwrap_or((field, "v"));
            let id = names.binary_search(&name).unwrap_or(0);
            let nullable = if kind.ends_with('?') { "yes" } else { "no" };
            let kind = word(kind.trim_end_matches('?'));
            xml += &format!("  <field field_id=\"{id}\" name=\"{name}\" type=\"{kind}\" ");
            xml += &format!("opt_nullable=\"{nullable}\"/>\n");
        }
        (call, xml + "</ExtentType>\n")
    };
    TYPES.lines().map(describe).collect()
}

/// Our own type: what the trace has that the file has not.
pub(crate) fn left_out() -> String {
    format!(
        "<ExtentType name=\"{}\" namespace=\"reanimator\" version=\"1.0\">\n  \
         <field name=\"what\" type=\"variable32\"/>\n  <field name=\"calls\" type=\"int64\"/>\n\
         </ExtentType>\n",
        crate::dataseries::LEFT_OUT
    )
}
