//! From text to a filter; mistakes are told with what was probably meant.

use super::{Calls, Filter, Status};
use abi::Row;
use std::collections::BTreeSet;

/// Why an expression cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing between commas, or nothing at all.
    #[error("empty name in '-e {0}'")]
    Empty(String),
    /// Not a call.
    #[error("unknown system call '{name}'{hint}")]
    Call {
        /// What was typed.
        name: String,
        /// What was probably meant.
        hint: String,
    },
    /// Not a group.
    #[error("unknown group of calls '%{name}'; known groups: {known}")]
    Group {
        /// What was typed.
        name: String,
        /// What could have been.
        known: String,
    },
    /// Not a regular expression.
    #[error("invalid regular expression '/{text}': {why}")]
    Regex {
        /// What was typed.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Not a pattern.
    #[error("invalid glob '{text}': {why}")]
    Glob {
        /// What was typed.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Not an outcome.
    #[error("unknown status '{0}'; expected successful, failed or unfinished")]
    Status(String),
    /// One of strace's qualifiers that we do not have.
    #[error("unknown filter '{0}='; expected trace=, status= or path=")]
    Qualifier(String),
}

/// Adds one expression to the filter.
pub fn add_expression(filter: &mut Filter, expression: &str) -> Result<(), Error> {
    // A regular expression may contain anything, `=` too.
    let qualified =
        if expression.starts_with(['/', '!']) { None } else { expression.split_once('=') };
    match qualified {
        None | Some(("trace" | "t", _)) => {
            filter.calls = parse_calls(qualified.map_or(expression, |(_, set)| set))?;
        }
        Some(("status", set)) => filter.statuses = Some(parse_statuses(set)?),
        Some(("path", pattern)) => filter.paths.push(compile_glob(pattern)?),
        Some((other, _)) => return Err(Error::Qualifier(other.to_owned())),
    }
    Ok(())
}

/// Returns whether the set begins with `!`, and the rest of it.
fn split_negation(set: &str) -> (bool, &str) {
    set.strip_prefix('!').map_or((false, set), |rest| (true, rest))
}

/// Parses a set of calls: names, numbers, `%groups` and `/regular expressions`, separated by
/// commas.
fn parse_calls(set: &str) -> Result<Calls, Error> {
    let (negated, names) = split_negation(set);
    if names == "all" || names == "none" {
        return Ok(Calls { listed: BTreeSet::new(), all_but: negated != (names == "all") });
    }
    let mut listed = BTreeSet::new();
    for name in names.split(',') {
        match name.as_bytes().first() {
            None => return Err(Error::Empty(set.to_owned())),
            Some(b'%') => listed.extend(group_numbers(&name[1..])?),
            Some(b'/') => listed.extend(matching_numbers(&name[1..])?),
            Some(b'?') => listed.extend(call_number(&name[1..]).ok()),
            Some(_) => {
                listed.insert(call_number(name)?);
            }
        }
    }
    Ok(Calls { listed, all_but: negated })
}

/// Returns the number of the call with this name or number. The error suggests a similar name.
fn call_number(name: &str) -> Result<u32, Error> {
    if let Some(row) = abi::by_name(name) {
        return Ok(row.number);
    }
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let hint = if Row::group_names().any(|group| group == name) {
        format!("; did you mean the group %{name}?")
    } else {
        closest_name(name).map(|c| format!("; did you mean {c}?")).unwrap_or_default()
    };
    Err(Error::Call { name: name.to_owned(), hint })
}

/// Returns the numbers of the calls in a group, such as `file`.
fn group_numbers(name: &str) -> Result<impl Iterator<Item = u32>, Error> {
    if !Row::group_names().any(|group| group == name) {
        let known: Vec<String> = Row::group_names().map(|group| format!("%{group}")).collect();
        return Err(Error::Group { name: name.to_owned(), known: known.join(" ") });
    }
    Ok(abi::rows().filter(move |row| row.is_in(name)).map(|row| row.number))
}

/// Returns the numbers of the calls whose names match a regular expression. Fails if there are
/// none.
fn matching_numbers(text: &str) -> Result<Vec<u32>, Error> {
    let regex = regex::Regex::new(text).map_err(|e| {
        let why = e.to_string();
        let why = why.rsplit("error: ").next().unwrap_or(&why).trim().to_owned();
        Error::Regex { text: text.to_owned(), why }
    })?;
    let found: Vec<u32> =
        abi::rows().filter(|row| regex.is_match(row.name())).map(|row| row.number).collect();
    if found.is_empty() {
        return Err(Error::Regex {
            text: text.to_owned(),
            why: "it matches no system call".to_owned(),
        });
    }
    Ok(found)
}

/// Compiles the glob of `path=`.
fn compile_glob(pattern: &str) -> Result<globset::GlobMatcher, Error> {
    if pattern.is_empty() {
        return Err(Error::Empty("path=".to_owned()));
    }
    let glob = globset::Glob::new(pattern)
        .map_err(|e| Error::Glob { text: pattern.to_owned(), why: e.kind().to_string() })?;
    Ok(glob.compile_matcher())
}

/// Parses a set of statuses: `successful`, `failed`, `unfinished`.
fn parse_statuses(set: &str) -> Result<BTreeSet<Status>, Error> {
    const ALL: [(&str, Status); 3] = [
        ("successful", Status::Successful),
        ("failed", Status::Failed),
        ("unfinished", Status::Unfinished),
    ];
    let (negated, names) = split_negation(set);
    let mut listed = BTreeSet::new();
    for name in names.split(',') {
        let known =
            ALL.iter().find(|(n, _)| *n == name).ok_or_else(|| Error::Status(name.to_owned()))?;
        listed.insert(known.1);
    }
    Ok(ALL.iter().map(|(_, s)| *s).filter(|s| listed.contains(s) != negated).collect())
}

/// Returns the call's name that is at most two edits away from `name`, if there is one.
fn closest_name(name: &str) -> Option<&'static str> {
    let (distance, best) =
        abi::rows().map(|row| (edit_distance(name, row.name()), row.name())).min()?;
    (distance <= 2 && distance < name.len()).then_some(best)
}

/// Returns the number of insertions, deletions, replacements and swaps of neighbours that turn one
/// name into the other (Damerau-Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
