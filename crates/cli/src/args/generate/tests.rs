//! Help, pages and completions: complete, at 80 columns, and accepted by what reads them.

use super::completions::completion_script;
use clap::Command;
use clap_complete::Shell;
use std::path::Path;
use std::process;

/// All commands that people see, as they are parsed; the program itself first.
fn commands() -> Vec<Command> {
    let mut command = crate::args::clap_command().disable_help_subcommand(true).term_width(80);
    command.build();
    let subs: Vec<Command> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
    std::iter::once(command).chain(subs).collect()
}

#[test]
fn help_fits_80_columns_with_each_example_on_its_own_lines() {
    for mut command in commands() {
        let help = command.clone().term_width(80).render_long_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
        }
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains(&examples), "{}: wrapped: {help}", command.get_name());
        let short = command.render_help().to_string();
        assert!(short.lines().all(|line| line.len() <= 100), "{short}");
    }
}

#[test]
fn options_that_take_calls_list_all_groups() {
    let with_calls = ["record", "print", "syscalls"];
    for mut command in commands().into_iter().filter(|c| with_calls.contains(&c.get_name())) {
        let help = command.render_long_help().to_string();
        for group in abi::Row::group_names() {
            assert!(help.contains(&format!("%{group}")), "{}: %{group}", command.get_name());
        }
    }
}

#[test]
fn pages_are_whole_and_name_pages_that_exist() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let args = super::ManArgs { dir: Some(dir.path().to_owned()) };
    super::run_man(&args, crate::args::clap_command()).expect("pages");
    for command in commands() {
        let name = command.get_name();
        let name =
            if command.has_subcommands() { name.to_owned() } else { format!("reanimator-{name}") };
        let file = dir.path().join(format!("{name}.1"));
        let text = rendered(&file);
        let synopsis = between(&text, "SYNOPSIS", "DESCRIPTION");
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let form = super::option_usage(arg);
            assert!(synopsis.contains(&form), "{name}: {form} is not in {synopsis}");
        }
        for (before, _) in text.match_indices("(1)").map(|(at, _)| text.split_at(at)) {
            let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
            let page = dir.path().join(format!("{}.1", word.to_lowercase()));
            assert!(page.is_file(), "{name} refers to {word}(1)");
        }
        assert!(text.contains("EXAMPLES"), "{name}");
    }
    assert!(!dir.path().join("reanimator-probe.1").exists(), "hidden commands have no page");
    let main = rendered(&dir.path().join("reanimator.1"));
    assert!(between(&main, "ENVIRONMENT", "REANIMATOR").contains("NO_COLOR"), "{main}");
}

/// A page as `man` shows it at a width that wraps nothing.
fn rendered(page: &Path) -> String {
    let output = process::Command::new("man")
        .args(["--warnings=all", "-l"])
        .arg(page)
        .env("MANWIDTH", "2000")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("man reads it (package man-db)");
    assert!(output.status.success() && output.stderr.is_empty(), "{page:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let after = text.split_once(&format!("\n{from}\n")).map_or("", |(_, after)| after);
    after.split_once(&format!("\n{to}")).map_or(after, |(before, _)| before)
}

#[test]
fn completions_offer_nothing_hidden() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = completion_script(shell, &crate::args::clap_command());
        for hidden in ["probe", "write-rate", "seal-at", "late-births"] {
            assert!(!script.contains(hidden), "{shell}: {hidden}");
        }
    }
}

/// What bash offers for the last of `words`.
fn bash_offers(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let [.., previous, current] = words else { panic!("two words at least") };
    let lines = format!(
        "{}\nCOMP_WORDS=({}); COMP_CWORD={}\n\
         _reanimator_record reanimator '{current}' '{previous}'\nprintf \
         '%s\\n' \"${{COMPREPLY[@]}}\"",
        completion_script(Shell::Bash, &crate::args::clap_command()),
        quoted.join(" "),
        words.len() - 1,
    );
    shell("bash", &lines)
}

fn shell(name: &str, lines: &str) -> String {
    let output = process::Command::new(name)
        .args(["-c", lines])
        .output()
        .unwrap_or_else(|e| panic!("{name} is needed: {e}"));
    assert!(output.status.success() && output.stderr.is_empty(), "{name}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|l| l.split('\t').next() == Some(line))
}

#[test]
fn bash_completes_commands_and_pids() {
    let own = process::id().to_string();
    assert!(has_line(&bash_offers(&["reanimator", "record", "-p", &own]), &own));
    assert!(has_line(&bash_offers(&["reanimator", "record", "uname"]), "uname"));
    assert!(has_line(&bash_offers(&["reanimator", "record", "-o", "x.ra", "--", "una"]), "uname"));
    assert!(has_line(&bash_offers(&["reanimator", "record", "--eng"]), "--engine"));
    assert!(has_line(&bash_offers(&["reanimator", "record", "--engine", "pt"]), "ptrace"));
    assert!(has_line(&bash_offers(&["reanimator", "rep"]), "replay"));
    assert_eq!(bash_offers(&["reanimator", "record", "uname", "--eng"]).trim(), "");
}

#[test]
fn zsh_and_fish_complete_commands_and_pids() {
    let zsh = completion_script(Shell::Zsh, &crate::args::clap_command());
    assert!(zsh.contains(":PID:_pids'") && zsh.contains("_cmdambivalent"), "{zsh}");
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &zsh).expect("written");
    let checked = process::Command::new("zsh").arg("-n").arg(file.path()).output();
    assert!(checked.expect("zsh is needed").status.success());

    let fish = |line: &str| {
        let lines = format!(
            "{}\ncomplete -C '{line}'",
            completion_script(Shell::Fish, &crate::args::clap_command())
        );
        shell("fish", &lines)
    };
    let own = process::id().to_string();
    assert!(has_line(&fish("reanimator record -p "), &own));
    assert!(has_line(&fish("reanimator record una"), "uname"));
    assert!(has_line(&fish("reanimator record --eng"), "--engine"));
}
