//! Tables of numbers.

use comfy_table::{CellAlignment, Table, presets};

/// What a recorder's own work does to the recorded times.
pub fn cost(engine: &str) -> Option<&'static str> {
    match engine {
        "ptrace" | "strace" => Some("recorded times include the tracer, which stops each call"),
        "ebpf" => Some("recorded times include what the recorder does in each call"),
        _ => None,
    }
}

/// A table without lines, with numbers to the right.
pub fn new(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
