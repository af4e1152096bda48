//! The statistics as a table for people.

use super::columns::Column;
use super::{Args, columns_of};
use crate::output::tables::{align_right, new_table};
use crate::output::units::{format_count, format_counted, format_digits};
use analyze::{Row, Stat, Totals};
use comfy_table::Table;
use console::measure_text_width;
use trace::{Trace, Verdict};

/// What stands for a value that a call does not have.
const NONE: &str = "-";
/// The fewest characters of a key that are shown on a narrow terminal.
const LEAST_KEY: usize = 12;
/// What stands above the rows that wait.
const WAITS: &str = "waiting, in no share:";

/// Returns the table with a line about the whole above it. `width` is that of the terminal, or
/// `None` if nothing is to be shortened.
pub fn to_text(a: &Args, trace: &Trace, stat: &Stat, width: Option<usize>) -> String {
    let mut text = head(a, trace, stat);
    if stat.rows.is_empty() {
        text.push_str("no calls\n");
        return text;
    }
    let (columns, left_out) = match &a.columns {
        Some(columns) => (columns.0.clone(), Vec::new()),
        None => columns_that_fit(a, stat, width),
    };
    let lines = table_lines(a, stat, &columns, width);
    let mut lines = lines.iter().map(|line| line.trim_end());
    let works = stat.rows.iter().filter(|row| !row.waits).count();
    let mut put = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    lines.by_ref().take(1 + works).for_each(&mut put);
    tell_more(stat.more[0], &mut put);
    if works > 0 {
        lines.by_ref().take(1).for_each(&mut put);
    }
    if works < stat.rows.len() {
        put("");
        put(WAITS);
        lines.for_each(&mut put);
        tell_more(stat.more[1], &mut put);
    }
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(|column| column.name()).collect();
        put(&format!("\nnot shown, as they do not fit: {} (--columns)", names.join(" ")));
    }
    text
}

/// Says how many rows are not shown.
fn tell_more(more: usize, put: &mut impl FnMut(&str)) {
    if more > 0 {
        put(&format!("… {} more, --top 0 shows all", format_count(more as u64)));
    }
}

/// Returns the lines above the table.
fn head(a: &Args, trace: &Trace, stat: &Stat) -> String {
    let Totals { calls, wall, .. } = stat.work;
    let name = match a.command.first() {
        Some(program) => program.to_string_lossy(),
        None => trace.path().to_string_lossy(),
    };
    let name = crate::messages::failure::printable(&name);
    let mut text = format!(
        "{name}: {} in {}, in progress for {}",
        format_counted(calls, "call", "calls"),
        format_digits(stat.elapsed),
        format_digits(wall),
    );
    if stat.waits.calls > 0 {
        text.push_str(&format!(
            "; {} that waited for {}",
            format_counted(stat.waits.calls, "call", "calls"),
            format_digits(stat.waits.wall)
        ));
    }
    text.push('\n');
    let summary = trace.summary();
    if summary.verdict == Verdict::Incomplete {
        text.push_str(&format!("the trace is incomplete: {}\n", summary.reasons.join("; ")));
    }
    text.push('\n');
    text
}

/// Returns the lines of the table: its head, the rows that do not wait, their total if there are
/// any, and the rows that wait.
fn table_lines(a: &Args, stat: &Stat, columns: &[Column], width: Option<usize>) -> Vec<String> {
    let keys = key_widths(a, stat, columns, width);
    let mut head: Vec<String> = a.interval.map(|_| "from".to_owned()).into_iter().collect();
    head.extend(a.by.0.iter().map(ToString::to_string));
    let texts = head.len();
    head.extend(columns.iter().map(|column| column.head().to_owned()));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table: Table = new_table(&head);
    align_right(&mut table, texts);
    let works = stat.rows.iter().take_while(|row| !row.waits).count();
    for (i, row) in stat.rows.iter().enumerate() {
        if i == works {
            add_total(&mut table, a, stat, columns, works);
        }
        let shared = (!row.waits).then(|| share_of(a, stat));
        let cells = columns.iter().map(|column| column.cell(row, shared));
        table.add_row(key_cells(a, row, &keys).into_iter().chain(cells));
    }
    if works == stat.rows.len() {
        add_total(&mut table, a, stat, columns, works);
    }
    table.lines().collect()
}

/// Returns what a share is taken of: the elapsed time, or the length of an interval.
fn share_of(a: &Args, stat: &Stat) -> u64 {
    a.interval.map_or(stat.elapsed, |interval| interval.min(stat.elapsed))
}

/// Adds the row of all calls that do not wait, if there are rows above it.
fn add_total(table: &mut Table, a: &Args, stat: &Stat, columns: &[Column], works: usize) {
    if works == 0 {
        return;
    }
    let mut cells: Vec<String> = a.interval.map(|_| String::new()).into_iter().collect();
    cells.extend(a.by.0.iter().map(|_| String::new()));
    cells[0] = "total".to_owned();
    let total = |column: &Column| column.cell_of_totals(&stat.work, Some(stat.elapsed));
    table.add_row(cells.into_iter().chain(columns.iter().map(total)));
}

/// Returns the cells of a row's keys, each cut to its width.
fn key_cells(a: &Args, row: &Row, widths: &[usize]) -> Vec<String> {
    let from = row.interval.zip(a.interval);
    let from = from.map(|(n, length)| match n {
        0 => "0 s".to_owned(),
        n => format_digits(n.saturating_mul(length)),
    });
    let keys = row.keys.iter().zip(widths);
    let keys = keys.map(|(key, width)| cut_middle(key.as_deref().unwrap_or(NONE), *width));
    from.into_iter().chain(keys).collect()
}

/// Returns the width of the longest value of each key.
fn full_widths(a: &Args, stat: &Stat) -> Vec<usize> {
    let width = |i: usize| {
        let of = |row: &Row| row.keys[i].as_deref().map_or(1, measure_text_width);
        let head = a.by.0[i].to_string().len();
        stat.rows.iter().map(of).max().unwrap_or(0).max(head)
    };
    (0..a.by.0.len()).map(width).collect()
}

/// Returns the width of a table beside its keys.
fn numbers_width(a: &Args, stat: &Stat, columns: &[Column]) -> usize {
    let width = |column: &Column| {
        let cell = |row: &Row| {
            measure_text_width(&column.cell(row, (!row.waits).then(|| share_of(a, stat))))
        };
        let total = column.cell_of_totals(&stat.work, Some(stat.elapsed));
        let cells = stat.rows.iter().map(cell).chain([measure_text_width(&total)]);
        cells.max().unwrap_or(0).max(column.head().len()) + 2
    };
    let interval = if a.interval.is_some() { 9 } else { 0 };
    interval + columns.iter().map(width).sum::<usize>()
}

/// Returns the columns that fit on a terminal beside the keys, and those that do not.
fn columns_that_fit(a: &Args, stat: &Stat, width: Option<usize>) -> (Vec<Column>, Vec<Column>) {
    let mut columns = columns_of(a).to_vec();
    if stat.rows.iter().all(|row| row.totals.bytes.is_none()) {
        columns.retain(|column| !matches!(column, Column::Bytes | Column::Rate));
    }
    let Some(width) = width else { return (columns, Vec::new()) };
    let keys: usize =
        full_widths(a, stat).into_iter().map(|full| full.min(2 * LEAST_KEY) + 2).sum();
    let mut left_out = Vec::new();
    for least in Column::LEAST_TELLING {
        if keys + numbers_width(a, stat, &columns) <= width {
            break;
        }
        if columns.contains(&least) {
            columns.retain(|column| *column != least);
            left_out.push(least);
        }
    }
    (columns, left_out)
}

/// Returns the width of each key on a terminal: what it needs, or an even part of what the numbers
/// leave.
fn key_widths(a: &Args, stat: &Stat, columns: &[Column], width: Option<usize>) -> Vec<usize> {
    let full = full_widths(a, stat);
    let Some(width) = width else { return full };
    let mut left = width.saturating_sub(numbers_width(a, stat, columns) + 2 * full.len());
    let mut order: Vec<usize> = (0..full.len()).collect();
    order.sort_by_key(|i| full[*i]);
    let mut widths = full.clone();
    for (done, i) in order.iter().enumerate() {
        let even = (left / (full.len() - done)).max(LEAST_KEY);
        widths[*i] = full[*i].min(even);
        left = left.saturating_sub(widths[*i]);
    }
    widths
}

/// Shortens a text to a width by replacing its middle with `…`.
fn cut_middle(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let fits = |most: usize, chars: &mut dyn Iterator<Item = char>| {
        let mut used = 0;
        let taken = chars.take_while(|c| {
            used += measure_text_width(c.encode_utf8(&mut [0; 4]));
            used <= most
        });
        taken.collect::<Vec<char>>()
    };
    let kept = width.saturating_sub(1);
    // The end tells more of a path than its beginning.
    let start = fits(kept / 3, &mut text.chars());
    let mut end = fits(kept - kept / 3, &mut text.chars().rev());
    end.reverse();
    start.into_iter().chain(['…']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_in_the_middle() {
        assert_eq!(cut_middle("/usr/lib/x", 10), "/usr/lib/x");
        assert_eq!(cut_middle("/usr/lib/x86_64-linux-gnu/libc.so.6", 16), "/usr/…/libc.so.6");
        assert_eq!(cut_middle("日本語日本語日本語", 9), "日…日本語");
        assert_eq!(cut_middle("abcdef", 1), "…");
    }
}
