//! `-c`: calls, errors and time by name, in strace's columns. Times are wall-clock times, as strace
//! counts them with `-w`.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What one call's rows add up to.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    nanos: u64,
    calls: u64,
    errors: u64,
}

/// Calls by name.
#[derive(Debug, Default)]
pub struct Summary(BTreeMap<String, Sum>);

impl Summary {
    /// Counts a call under its name, with the time that it took in nanoseconds.
    pub fn add_call(&mut self, name: &str, duration: Option<u64>, failed: bool) {
        let sum = self.0.entry(name.to_owned()).or_default();
        sum.nanos = sum.nanos.saturating_add(duration.unwrap_or(0));
        sum.calls += 1;
        sum.errors += u64::from(failed);
    }

    /// Returns the table of calls in the format of `strace -c`, the ones that took longest first.
    pub fn table(&self) -> String {
        let mut rows: Vec<(&String, Sum)> = self.0.iter().map(|(name, sum)| (name, *sum)).collect();
        rows.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.nanos));
        let mut total = Sum::default();
        for (_, sum) in &rows {
            total.nanos = total.nanos.saturating_add(sum.nanos);
            total.calls += sum.calls;
            total.errors += sum.errors;
        }
        let rule = "------ ----------- ----------- --------- --------- ----------------\n";
        let mut text = String::from("% time     seconds  usecs/call     calls    errors syscall\n");
        text.push_str(rule);
        for (name, sum) in &rows {
            write_row(&mut text, name, *sum, total.nanos);
        }
        text.push_str(rule);
        write_row(&mut text, "total", total, total.nanos);
        text
    }
}

/// Appends the row of one call name to the table. `of` is the total time of all calls in
/// nanoseconds, for the percentage.
fn write_row(text: &mut String, name: &str, sum: Sum, of: u64) {
    let share = if of == 0 { 0.0 } else { sum.nanos as f64 * 100.0 / of as f64 };
    let seconds = sum.nanos as f64 / 1e9;
    let each = if sum.calls == 0 { 0.0 } else { sum.nanos as f64 / 1e3 / sum.calls as f64 };
    let errors = if sum.errors == 0 { String::new() } else { sum.errors.to_string() };
    // Nanoseconds are recorded: they are shown while they fit into strace's columns.
    let seconds = if seconds < 10.0 { format!("{seconds:.9}") } else { format!("{seconds:.6}") };
    let each = if each < 100_000.0 { format!("{each:.3}") } else { format!("{each:.0}") };
    let written = writeln!(
        text,
        "{share:>6.2} {seconds:>11} {each:>11} {calls:>9} {errors:>9} {name}",
        calls = sum.calls
    );
    debug_assert!(written.is_ok(), "a string takes all text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_straces_columns() {
        let mut summary = Summary::default();
        summary.add_call("read", Some(1_234), false);
        summary.add_call("read", Some(456), false);
        summary.add_call("openat", Some(12_000_000_000), true);
        summary.add_call("exit_group", None, false);
        insta::assert_snapshot!(summary.table(), @r"
        % time     seconds  usecs/call     calls    errors syscall
        ------ ----------- ----------- --------- --------- ----------------
        100.00   12.000000    12000000         1         1 openat
          0.00 0.000001690       0.845         2           read
          0.00 0.000000000       0.000         1           exit_group
        ------ ----------- ----------- --------- --------- ----------------
        100.00   12.000002     3000000         4         1 total
        ");
    }
}
