//! README and the pages in docs/: short where they should be, and no link leads nowhere. Their
//! examples are run by another test.

use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn readme_is_short_and_wrapped() {
    let text = fs::read_to_string(sources().join("README.md")).unwrap();
    assert!(text.lines().count() <= 150, "README.md has {} lines", text.lines().count());
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(long.is_empty(), "longer than 100 columns: {long:#?}");
}

#[test]
fn links_lead_to_files() {
    let docs = fs::read_dir(sources().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    for page in docs.chain([sources().join("README.md"), sources().join("CHANGELOG.md")]) {
        let text = fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let file = target.split('#').next().unwrap_or_default();
            let there = file.is_empty() || page.parent().unwrap().join(file).exists();
            assert!(there, "{} links to {target}", page.display());
        }
    }
}
