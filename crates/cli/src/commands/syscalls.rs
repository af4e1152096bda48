//! `reanimator syscalls`: the table, as people or programs read it.

use crate::filter::{self, Filter};
use crate::output::stdout;
use abi::{Arg, CallSpec, Class, Groups, Replay, Row, print};
use anyhow::Result;
use serde_json::{Value, json};
use std::fmt::Write;

/// List the known system calls, their arguments, and how replay treats them
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator syscalls
      List all calls
  reanimator syscalls -e %xattr
      List one group
  reanimator syscalls -e fcntl --variants
      List the commands of fcntl
  reanimator syscalls --json | jq '.syscalls[].name'")]
pub struct Args {
    /// List only these calls: names, %group, /regex, !set
    #[arg(short = 'e', value_name = "EXPR", long_help = filter::option_help("List only the calls that \
        EXPR selects", ""))]
    pub filter: Vec<String>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    /// List the commands of multiplexed calls (fcntl, ioctl, prctl) too
    #[arg(long)]
    pub variants: bool,
}

/// Runs `reanimator syscalls`: prints the table of system calls and operations of io_uring that are
/// known, as text or as JSON.
pub fn run(a: &Args) -> Result<()> {
    let filter = Filter::parse(&a.filter)?;
    let rows = abi::rows().filter(|row| filter.has_number(row.number));
    if a.json {
        return stdout::print_json(&json!({"syscalls": rows.map(row_to_json).collect::<Vec<_>>()}));
    }
    let mut text = String::new();
    for row in rows {
        // The number of an operation that is no system call is of no use to people.
        let number = if row.operation.is_some() { String::new() } else { row.number.to_string() };
        write_line(&mut text, &number, &row.spec, &group_names(row.groups).join(" "))?;
        if a.variants {
            for (value, spec) in row.variants {
                write_line(
                    &mut text,
                    "",
                    spec,
                    &format!("{} {value:#x}", row.spec.args[row.selector as usize].name),
                )?;
            }
        }
    }
    stdout::print_text(&text)
}

/// Appends the line of a call or variant to the text. The signature comes last, as it can be long.
fn write_line(text: &mut String, number: &str, spec: &CallSpec, remark: &str) -> std::fmt::Result {
    writeln!(
        text,
        "{number:>4}  {:<20}  {remark:<16}  {}",
        treatment(spec.replay),
        print::signature(spec)
    )
}

/// Returns the filter groups that a call belongs to, as `%file`.
fn group_names(groups: Groups) -> Vec<String> {
    let mut names: Vec<(u32, String)> = Vec::new();
    for (name, bits) in Groups::NAMES {
        if groups.has(*bits) && !names.iter().any(|(b, _)| *b == bits.0) {
            names.push((bits.0, format!("%{name}")));
        }
    }
    names.into_iter().map(|(_, name)| name).collect()
}

/// Returns the table's row of a call as JSON.
fn row_to_json(row: &Row) -> Value {
    let variants: Vec<Value> = row
        .variants
        .iter()
        .map(|(value, spec)| {
            let mut variant = spec_to_json(spec);
            variant["value"] = json!(value);
            variant
        })
        .collect();
    let mut call = spec_to_json(&row.spec);
    call["number"] = json!(row.number);
    call["groups"] = json!(group_names(row.groups));
    if !variants.is_empty() {
        call["by"] = json!(row.spec.args[row.selector as usize].name);
        call["variants"] = json!(variants);
    }
    call
}

/// Returns the JSON for a system call or a variant of one: its name, arguments, result, and how
/// replay treats it.
fn spec_to_json(spec: &CallSpec) -> Value {
    let arg = |a: &Arg| json!({"name": a.name, "kind": print::kind_name(a.kind, spec.args)});
    json!({
        "name": spec.name,
        "args": spec.args.iter().map(arg).collect::<Vec<_>>(),
        "returns": print::ret_name(spec.ret),
        "replay": treatment(spec.replay),
    })
}

/// Describes how replay treats a call.
pub fn treatment(replay: Replay) -> &'static str {
    match replay {
        Replay::Issue => "performed",
        Replay::Skip(class) => match class {
            Class::Memory => "skipped: memory",
            Class::Network => "skipped: network",
            Class::Ipc => "skipped: ipc",
            Class::Signal => "skipped: signals",
            Class::Process => "skipped: processes",
            Class::Wait => "skipped: waiting",
            Class::Credentials => "skipped: credentials",
            Class::Mounts => "skipped: mounts",
            Class::System => "skipped: system",
            Class::Watch => "skipped: watching",
            Class::Async => "skipped: async",
            Class::Unknown => "skipped: unknown",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_a_row_says() {
        let mut text = String::new();
        let row = abi::by_name("read").expect("read is in the table");
        write_line(&mut text, "0", &row.spec, &group_names(row.groups).join(" "))
            .expect("a string takes it");
        insta::assert_snapshot!(text, @r#"
           0  performed             %desc             read(fd: fd, buf: out data[ret <= count], count: size) -> bytes
        "#);
    }
}
