//! README.md and the other pages: wrapped, reached from README.md, and without names of files,
//! commands and tests that do not exist. Their examples are run by another test.

use crate::harness::place::REANIMATOR;
use crate::harness::run::run;
use crate::harness::tracee::repository;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All pages: README.md first, then the others, those in folders as well.
pub fn pages() -> Vec<PathBuf> {
    let readme = repository().join("README.md");
    let files = files_below(&repository()).into_iter();
    let others =
        files.filter(|path| path.extension().is_some_and(|e| e == "md") && *path != readme);
    [readme.clone()].into_iter().chain(others).collect()
}

/// All files below a directory, in order, without what was built.
fn files_below(directory: &Path) -> BTreeSet<PathBuf> {
    let (mut files, mut directories) = (BTreeSet::new(), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() == ".git" || entry.file_name() == "target" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else {
                files.insert(entry.path());
            }
        }
    }
    files
}

/// The lines that stand outside of fenced blocks.
fn prose(page: &str) -> Vec<&str> {
    let mut fenced = false;
    let outside = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    };
    page.lines().filter(outside).collect()
}

#[test]
fn pages_are_wrapped() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 150, "README.md has {} lines", readme.lines().count());
    let mut long = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        // The row of a table is one line.
        let lines = prose(&text).into_iter().filter(|line| !line.starts_with('|'));
        let lines = lines.filter(|line| line.chars().count() > 100);
        long.extend(lines.map(|line| format!("{}: {line}", page.display())));
    }
    assert!(long.is_empty(), "longer than 100 columns:\n{}", long.join("\n"));
}

/// <https://keepachangelog.com>: so is it kept although branches are merged line by line.
#[test]
fn the_changelog_has_its_groups_once() {
    const GROUPS: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
    let text = fs::read_to_string(repository().join("CHANGELOG.md")).unwrap();
    let mut before: Option<usize> = None;
    for line in text.lines() {
        if line.starts_with("## ") {
            assert!(line.starts_with("## ["), "{line}");
            before = None;
        } else if let Some(group) = line.strip_prefix("### ") {
            let place = GROUPS.iter().position(|g| *g == group);
            assert!(place.is_some() && place > before, "{line} is no group, or not in its place");
            before = place;
        }
    }
}

/// The file and the heading that each link of a page names.
fn links(text: &str) -> Vec<(String, String)> {
    let prose = prose(text).join("\n");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let ours = targets.filter(|target| !target.contains("://"));
    let parts = ours.map(|target| target.split_once('#').unwrap_or((target, "")));
    parts.map(|(file, heading)| (file.to_owned(), heading.to_owned())).collect()
}

/// A heading as links name it on GitHub.
fn anchor(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    };
    heading.to_lowercase().chars().filter_map(kept).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        for (file, heading) in links(&fs::read_to_string(&page).unwrap()) {
            let to =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(&file) };
            let there = if heading.is_empty() {
                to.exists()
            } else {
                let text = fs::read_to_string(&to).unwrap_or_default();
                let headings = prose(&text).into_iter().filter(|line| line.starts_with('#'));
                let mut names = headings.map(|line| anchor(line.trim_start_matches('#').trim()));
                names.any(|name| name == heading)
            };
            if !there {
                wrong.push(format!("{} links to {file}#{heading}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_pages_are_reached_from_readme() {
    let mut unread = vec![repository().join("README.md")];
    let mut reached = BTreeSet::new();
    while let Some(page) = unread.pop() {
        if page.extension().is_some_and(|e| e == "md") && reached.insert(page.clone()) {
            let text = fs::read_to_string(&page).unwrap();
            let to = links(&text).into_iter();
            let to =
                to.filter_map(|(file, _)| page.parent().unwrap().join(file).canonicalize().ok());
            unread.extend(to);
        }
    }
    // Those beside fixtures and templates are found where they are.
    let (top, docs) = (repository(), repository().join("docs"));
    let read = |page: &PathBuf| page.parent() == Some(&*top) || page.starts_with(&docs);
    let missed: Vec<PathBuf> =
        pages().into_iter().filter(|page| read(page) && !reached.contains(page)).collect();
    assert!(missed.is_empty(), "no page links to {missed:?}");
}

/// The folders of the repository that names of files begin with.
const OURS: [&str; 10] = [
    "crates",
    "docs",
    "tests",
    "bench",
    "benches",
    "fuzz",
    "packaging",
    ".github",
    ".config",
    ".ci",
];

/// What pages can name, by which it is looked up.
struct Names {
    top: PathBuf,
    files: BTreeSet<PathBuf>,
    code: String,
    makefile: String,
    help: String,
}

impl Names {
    fn new() -> Self {
        let top = repository();
        let files = files_below(&top);
        let sources = files.iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
        let code = sources.map(|path| fs::read_to_string(path).unwrap()).collect();
        let makefile = fs::read_to_string(top.join("Makefile")).unwrap();
        let help = run(Command::new(REANIMATOR).arg("--help")).ok("--help").stdout;
        Self { top, files, code, makefile, help }
    }

    /// Whether something is named in these words that does not exist: a file of ours, a module, a
    /// test, a target of the Makefile, a command of the program.
    fn lack(&self, span: &str) -> bool {
        let words: Vec<&str> = span.split_whitespace().collect();
        match words[..] {
            ["make", target, ..] if target.starts_with(|c: char| c.is_ascii_lowercase()) => {
                !self.makefile.contains(&format!("\n{target}:"))
            }
            ["reanimator", command, ..]
                if command.starts_with(|c: char| c.is_ascii_lowercase()) =>
            {
                !self.help.contains(&format!("\n  {command} "))
            }
            [name, ..] if name.contains("::") => {
                let last = name.rsplit("::").next().unwrap_or_default();
                !self.code.contains(last.trim_end_matches(|c: char| !c.is_alphanumeric()))
            }
            [path, ..] => {
                // A pattern: its folder.
                let path = match path.split_once('*') {
                    Some((before, _)) => before.rsplit_once('/').map_or("", |(folder, _)| folder),
                    None => path,
                };
                let ours =
                    OURS.iter().any(|o| path.strip_prefix(o).is_some_and(|p| p.starts_with('/')));
                let named = |end: &str| path.ends_with(end) && !path.starts_with('/');
                (ours && !self.top.join(path).exists())
                    || ([".rs", ".py", ".sh"].into_iter().any(named)
                        && !self.files.iter().any(|file| file.ends_with(path)))
            }
            [] => false,
        }
    }
}

#[test]
fn what_pages_name_exists() {
    let names = Names::new();
    let mut wrong = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let prose = prose(&text).join("\n");
        let spans = prose.split('`').skip(1).step_by(2);
        let lacking = spans.filter(|span| names.lack(span));
        wrong.extend(lacking.map(|span| format!("{} names `{span}`", page.display())));
    }
    assert!(wrong.is_empty(), "these do not exist:\n{}", wrong.join("\n"));
}

/// Comments of code, scripts and manifests name files by their paths from the top.
#[test]
fn what_comments_name_exists() {
    let top = repository();
    let mut wrong = Vec::new();
    for file in files_below(&top) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let comments = text.lines().map(str::trim_start);
        let comments = comments.filter(|line| ["/", "*", "#"].iter().any(|c| line.starts_with(c)));
        let end = |c: char| !c.is_alphanumeric() && !"-_./".contains(c);
        for name in comments.flat_map(|line| line.split(end)) {
            let name = name.trim_end_matches('.');
            let ours = OURS
                .iter()
                .any(|ours| name.strip_prefix(ours).is_some_and(|rest| rest.starts_with('/')));
            let file_of_ours = [".rs", ".h", ".md", ".py", ".sh"].iter().any(|e| name.ends_with(e));
            if ours && file_of_ours && !top.join(name).exists() {
                wrong.push(format!("{} names {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these do not exist:\n{}", wrong.join("\n"));
}

#[test]
fn what_does_not_exist_is_found() {
    let names = Names::new();
    // In two parts, as this file is one of those in which names are looked for.
    let never = ["pages::what_", "never_was"].concat();
    for span in ["crates/nothing", "no_such_file.rs", "make no-target", "reanimator query", &never]
    {
        assert!(names.lack(span), "{span}");
    }
    let there = ["crates/abi/src/table.rs", "crates/cli/*.md", "pages.rs", "/proc/self/x.rs"];
    let said = ["make -j2", "make test", "reanimator info t.ra", "pages::what_pages_name_exists"];
    for span in there.into_iter().chain(said) {
        assert!(!names.lack(span), "{span}");
    }
}
