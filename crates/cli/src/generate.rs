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
    let command = args::command();
    if let Some(dir) = &a.dir {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        return clap_mangen::generate_to(command, dir).with_context(|| format!("cannot write man pages into {}", dir.display()));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    stdout::text(&String::from_utf8_lossy(&page))
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
        for page in ["reanimator.1", "reanimator-record.1", "reanimator-replay.1", "reanimator-doctor.1"] {
            assert!(dir.path().join(page).is_file(), "{page}");
        }
        assert!(!dir.path().join("reanimator-probe.1").exists(), "hidden commands have no page");
    }
}
