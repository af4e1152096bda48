//! Man pages and shell completions, from the same definitions as the parser's.

use crate::{args, stdout};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Write the man pages
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator man | man -l -                       read the main page
  reanimator man ~/.local/share/man/man1          write reanimator.1, reanimator-record.1, ...")]
pub struct ManArgs {
    /// Write one page per command into this directory; without it, print the main page
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Print the completions of a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator completions bash > ~/.local/share/bash-completion/completions/reanimator
  reanimator completions zsh > ~/.zfunc/_reanimator
  reanimator completions fish > ~/.config/fish/completions/reanimator.fish")]
pub struct CompletionsArgs {
    /// For which shell
    pub shell: clap_complete::Shell,
}

/// `reanimator man`.
pub fn man(a: &ManArgs) -> Result<()> {
    // Built, so that subcommands have the options that all share.
    let mut command = args::command();
    command.build();
    let Some(dir) = &a.dir else { return stdout::text(&page(&command, "reanimator")?) };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let write = |name: &str, page: String| {
        let file = dir.join(format!("{name}.1"));
        std::fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))
    };
    write("reanimator", page(&command, "reanimator")?)?;
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set() && s.get_name() != "help") {
        let name = format!("reanimator-{}", sub.get_name());
        write(&name, page(sub, &name)?)?;
    }
    Ok(())
}

fn page(command: &clap::Command, name: &str) -> Result<String> {
    let mut page = Vec::new();
    let named = command.clone().display_name(name.to_owned());
    clap_mangen::Man::new(named)
        .title(name.to_uppercase())
        .source("reanimator")
        .manual("Reanimator")
        .render(&mut page)?;
    Ok(with_examples(&String::from_utf8_lossy(&page)))
}

/// The generator takes what stands after the options for a paragraph called EXTRA. Ours are examples, a line each.
fn with_examples(page: &str) -> String {
    let Some((before, extra)) = page.split_once(".SH EXTRA\n") else { return page.to_owned() };
    let (examples, after) = extra
        .split_once(".SH")
        .map_or((extra, String::new()), |(examples, after)| (examples, format!(".SH{after}")));
    let examples = examples.trim_start_matches("Examples:\n").trim_end();
    format!("{before}.SH EXAMPLES\n.nf\n{examples}\n.fi\n{after}")
}

/// `reanimator completions`.
pub fn completions(a: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(a.shell, &mut args::command(), "reanimator", &mut script);
    stdout::text(&String::from_utf8_lossy(&script))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        super::man(&super::ManArgs { dir: Some(dir.path().to_owned()) }).expect("pages");
        for page in
            ["reanimator.1", "reanimator-record.1", "reanimator-replay.1", "reanimator-doctor.1"]
        {
            assert!(dir.path().join(page).is_file(), "{page}");
        }
        assert!(!dir.path().join("reanimator-probe.1").exists(), "hidden commands have no page");
        let page =
            std::fs::read_to_string(dir.path().join("reanimator-record.1")).expect("written");
        assert!(page.contains(".SH EXAMPLES\n.nf\n  reanimator record"), "{page}");
    }
}
