//! Completions: what clap's generator writes, and what it cannot express, commands and pids.

use crate::output::stdout;
use anyhow::Result;
use clap::{Arg, Command};
use clap_complete::Shell;

/// Print a shell's completion script
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator completions bash \\
      > ~/.local/share/bash-completion/completions/reanimator
  reanimator completions zsh > ~/.zfunc/_reanimator
  reanimator completions fish > ~/.config/fish/completions/reanimator.fish")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Runs `reanimator completions`: prints a shell's completion script. `command` describes the whole
/// command line.
pub fn run_completions(a: &CompletionsArgs, command: &Command) -> Result<()> {
    stdout::print_text(&completion_script(a.shell, command))
}

/// Returns the completion script for a shell.
pub fn completion_script(shell: Shell, command: &Command) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut without_hidden(command), "reanimator", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => {
            script
                + &include_str!("completions.bash")
                    .replace("OPTIONS_WITH_VALUES", &options_with_values(command))
        }
        Shell::Zsh => script.replace(":PID:_default'", ":PID:_pids'"),
        Shell::Fish => script + include_str!("completions.fish"),
        _ => script,
    }
}

/// Returns the options of `record` that take a value, as an alternative for a `case` of bash (`-o |
/// --output`).
fn options_with_values(command: &Command) -> String {
    let record = command.get_subcommands().find(|sub| sub.get_name() == "record");
    let takes =
        |arg: &&Arg| !arg.is_positional() && !arg.is_hide_set() && arg.get_action().takes_values();
    let names = |arg: &Arg| {
        let short = arg.get_short().map(|short| format!("-{short}"));
        short.into_iter().chain(arg.get_long().map(|long| format!("--{long}"))).collect::<Vec<_>>()
    };
    let options = record.into_iter().flat_map(Command::get_arguments).filter(takes);
    options.flat_map(names).collect::<Vec<_>>().join(" | ")
}

/// Returns the command without hidden options and subcommands, as the generator would offer those,
/// too.
fn without_hidden(command: &Command) -> Command {
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned();
    let commands = command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(without_hidden);
    let about = command.get_about().cloned().unwrap_or_default();
    let version = command.get_version().map(ToOwned::to_owned);
    let mut shown =
        Command::new(command.get_name().to_owned()).about(about).args(args).subcommands(commands);
    if let Some(version) = version {
        shown = shown.version(version);
    }
    shown
}
