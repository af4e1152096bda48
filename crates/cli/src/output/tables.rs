//! Tables of numbers.

use comfy_table::{CellAlignment, Table, presets};

/// Describes what an engine adds to the recorded times by its own work. Returns `None` for engines
/// of which that is not known.
pub fn recording_overhead(engine: &str) -> Option<&'static str> {
    match engine {
        "ptrace" | "strace" => Some("recorded times include the tracer, which stops each call"),
        "ebpf" => Some("recorded times include what the recorder does in each call"),
        _ => None,
    }
}

/// Creates a table without lines; all columns but the first are aligned to the right.
pub fn new_table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Aligns the first `texts` columns to the left, and the others to the right.
pub fn align_right(table: &mut Table, texts: usize) {
    for (i, column) in table.column_iter_mut().enumerate() {
        let side = if i < texts { CellAlignment::Left } else { CellAlignment::Right };
        column.set_cell_alignment(side);
    }
}
