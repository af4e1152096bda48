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

/// Returns the name of the field type that a letter stands for.
fn type_name(letter: &str) -> &'static str {
    match letter {
        "b" => "bool",
        "y" => "byte",
        "i" => "int32",
        "l" => "int64",
        _ => "variable32",
    }
}

/// Returns the name of a field without the letter of its type.
fn strip_type(field: &str) -> &str {
    field.split(':').next().unwrap_or(field)
}

/// Returns the flags of each record type that are never null, by the last part of the type's name.
pub(crate) fn required_flags() -> HashMap<&'static str, Vec<&'static str>> {
    let flags_of_line = |line: &'static str| {
        (
            strip_type(line.split(' ').next().unwrap_or(line)),
            line.split(' ').filter_map(|f| f.strip_suffix(":b")).collect(),
        )
    };
    TYPES.lines().map(flags_of_line).collect()
}

/// Returns the last part of each type's name, and the XML description of the type.
pub(crate) fn type_descriptions() -> Vec<(&'static str, String)> {
    let mut names: Vec<&str> = COMMON
        .split(' ')
        .chain(TYPES.lines().flat_map(|l| l.split(' ').skip(1)))
        .map(strip_type)
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
            let (name, letters) = field.split_once(':').unwrap_or((field, "v"));
            let id = names.binary_search(&name).unwrap_or(0);
            let nullable = if letters.ends_with('?') { "yes" } else { "no" };
            let field_type = type_name(letters.trim_end_matches('?'));
            xml += &format!("  <field field_id=\"{id}\" name=\"{name}\" type=\"{field_type}\" ");
            xml += &format!("opt_nullable=\"{nullable}\"/>\n");
        }
        (call, xml + "</ExtentType>\n")
    };
    TYPES.lines().map(describe).collect()
}

/// Returns the XML description of our own record type, which says what the trace has and the file
/// lacks.
pub(crate) fn losses_description() -> String {
    format!(
        "<ExtentType name=\"{}\" namespace=\"reanimator\" version=\"1.0\">\n  \
         <field name=\"what\" type=\"variable32\"/>\n  <field name=\"calls\" type=\"int64\"/>\n\
         </ExtentType>\n",
        crate::dataseries::LEFT_OUT
    )
}
