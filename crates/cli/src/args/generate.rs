//! Man pages and shell completions, from the same definitions as the parser's.

mod completions;

pub use completions::{CompletionsArgs, run_completions};

use crate::output::stdout;
use anyhow::{Context, Result};
use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use std::path::PathBuf;

/// Write the man pages
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator man | man -l -
      Read the main page
  reanimator man ~/.local/share/man/man1
      Write reanimator.1, reanimator-record.1 and the others")]
pub struct ManArgs {
    /// Write one page for each command to this directory [default: print the main page]
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// What the program reads from its environment, for the main page.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("NO_COLOR", "If set and not empty, nothing is printed in colour."),
    ("PATH", "Where `record` looks for the command."),
    ("SUDO_UID, SUDO_GID", "If root runs `record`, the user who gets the command and the trace."),
    ("TMPDIR", "Where `replay` makes a root if --root names none (otherwise /tmp)."),
    ("RUST_BACKTRACE", "If set, an internal error prints a backtrace."),
];

/// Runs `reanimator man`: prints the main man page, or writes one page for each subcommand into a
/// directory. `command` describes the whole command line.
pub fn run_man(a: &ManArgs, command: Command) -> Result<()> {
    // Built, so that subcommands have the options that all share.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(dir) = &a.dir else { return stdout::print_text(&man_page(&command, "reanimator")?) };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let write = |name: &str, page: String| {
        let file = dir.join(format!("{name}.1"));
        std::fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))
    };
    write("reanimator", man_page(&command, "reanimator")?)?;
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        let name = format!("reanimator-{}", sub.get_name());
        write(&name, man_page(sub, &name)?)?;
    }
    Ok(())
}

/// Returns the man page of a command as roff text. `name` is the page's title, such as
/// `reanimator-record`.
fn man_page(command: &Command, name: &str) -> Result<String> {
    let mut page = Vec::new();
    let is_main = command.has_subcommands();
    let man =
        Man::new(command.clone().display_name(name.to_owned()).override_usage(synopsis(command)))
            .title(name.to_uppercase())
            .source(format!("reanimator {}", env!("CARGO_PKG_VERSION")))
            .manual("Reanimator");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if is_main {
        man.render_subcommands_section(&mut page)?;
    }
    let mut page = String::from_utf8_lossy(&page).into_owned();
    page.push_str(&examples_section(command));
    if is_main {
        page.push_str(".SH ENVIRONMENT\n");
        for (variable, effect) in ENVIRONMENT {
            page.push_str(&format!(".TP\n{variable}\n{}\n", escape_roff(effect)));
        }
    } else {
        page.push_str(".SH SEE ALSO\n.BR reanimator (1)\n");
    }
    Ok(page)
}

/// Returns the synopsis of a command: its name and each option with its value.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = name.to_owned();
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        line.push(' ');
        line.push_str(&option_usage(arg));
    }
    if command.has_subcommands() {
        line.push_str(" <COMMAND> [ARG]...");
    }
    line
}

/// Returns how an option or argument is written in the synopsis: in brackets if it is optional, and
/// with `...` if it can be repeated.
fn option_usage(arg: &Arg) -> String {
    let values = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
    let takes = arg.get_num_args().is_some_and(|number| number.takes_values());
    let flag = match (arg.get_short(), arg.get_long()) {
        (Some(short), _) => format!("-{short}"),
        (None, Some(long)) => format!("--{long}"),
        (None, None) => String::new(),
    };
    let inside = match (flag.is_empty(), takes) {
        (true, _) => values,
        (false, true) => format!("{flag} {values}"),
        (false, false) => flag,
    };
    let repeats = matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
    let (open, close) = if arg.is_required_set() { ("", "") } else { ("[", "]") };
    format!("{open}{inside}{close}{}", if repeats { "..." } else { "" })
}

/// Returns the EXAMPLES section of a man page, with the lines of the help's examples. Empty if
/// there are none.
fn examples_section(command: &Command) -> String {
    let Some(help) = command.get_after_help().map(ToString::to_string) else {
        return String::new();
    };
    let lines = help.trim_start_matches("Examples:\n").trim_end();
    format!(".SH EXAMPLES\n.nf\n{}\n.fi\n", escape_roff(lines))
}

/// Escapes what roff would interpret: backslashes, hyphens, and a dot or an apostrophe at the
/// beginning of a line.
fn escape_roff(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
