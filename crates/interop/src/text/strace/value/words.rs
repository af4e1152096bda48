//! Parses numbers, and names of numbers.

use crate::text::strace::lexer::{Token, Tokens};
use abi::Flags;
use abi::flags::file;
use ahash::HashMap;
use linux_raw_sys::general::*;
use std::sync::LazyLock;

/// Returns a number without the path or name that follows it.
fn strip_name(text: &str) -> &str {
    if !text.contains('<') {
        return text;
    }
    let name = Tokens::new(text).find(|(sign, ..)| *sign == Token::Named);
    name.map_or(text, |(_, from, _)| &text[..from])
}

/// Names of values that the kernel fills in. Their fields in the table have none, as nothing
/// compares them.
static FILLED: [&Flags; 4] = [&file::STATX_MASK, &file::STATX_ATTR, &file::FS_TYPE, &file::STATFS];

macro_rules! names {
    ($($name:ident)+) => { &[$((stringify!($name), $name as u64)),+] };
}
static TYPES: &[(&str, u64)] = names! { S_IFREG S_IFDIR S_IFLNK S_IFCHR S_IFBLK S_IFIFO S_IFSOCK };
static BITS: &[(&str, u64)] = names! {
    S_ISUID S_ISGID S_ISVTX S_IRWXU S_IRUSR S_IWUSR S_IXUSR S_IRWXG S_IRGRP S_IWGRP S_IXGRP S_IRWXO
    S_IROTH S_IWOTH S_IXOTH UTIME_NOW UTIME_OMIT AT_FDCWD AT_STATX_SYNC_AS_STAT RLIM64_INFINITY
    RLIM_INFINITY SIGCHLD
};
/// Names that the headers of Linux do not have, or not as numbers.
static OTHERS: [(&str, u64); 9] = [
    ("SIG_DFL", 0),
    ("SIG_IGN", 1),
    ("S_IALLUGO", 0o7777),
    ("S_IRWXUGO", 0o777),
    ("S_IRUGO", 0o444),
    ("S_IWUGO", 0o222),
    ("S_IXUGO", 0o111),
    ("NULL", 0),
    ("INT_MAX", i32::MAX as u64),
];

/// Parses a number in any of strace's forms, with the names of `set`. Returns `None` if a part of
/// it is unknown.
pub(crate) fn parse_number(text: &str, set: Option<&Flags>) -> Option<u64> {
    let text = strip_name(text).trim();
    let plain = text.trim_start_matches('~');
    let negated = (text.len() - plain.len()) % 2 == 1;
    let (sum, all) = match plain.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some(signals) if set.is_some() => (parse_signal_set(signals)?, true),
        _ => sum_words(plain, set),
    };
    all.then_some(if negated { !sum } else { sum })
}

/// Parses `INT TERM RTMIN RT_1` as the bits of a signal set.
fn parse_signal_set(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().try_fold(0, |set, word| {
        let number = match word {
            "RTMIN" => 32,
            // With `-X raw`.
            word => word.parse().ok().or_else(|| signal_by_name(&format!("SIG{word}")))?,
        };
        Some(set | 1u64.checked_shl(u32::try_from(number).ok()?.checked_sub(1)?)?)
    })
}

/// Returns the sum of the names and numbers that are known.
pub(crate) fn sum_known(text: &str, set: Option<&Flags>) -> u64 {
    sum_words(text, set).0
}

/// Returns the sum of the names and numbers that are known, and whether all are.
pub(crate) fn sum_words(text: &str, set: Option<&Flags>) -> (u64, bool) {
    let text = strip_name(text).trim();
    if text.is_empty() {
        return (0, false);
    }
    let words = text.split('|').map(str::trim);
    words.fold((0, true), |(sum, all), word| {
        match parse_plain(word).or_else(|| named_value(word, set)) {
            Some(v) => (sum | v, all),
            None => (sum, false),
        }
    })
}

/// Parses a number without names: hexadecimal, octal, decimal, a product (`4*1024`) or a shift
/// (`1<<3`).
fn parse_plain(word: &str) -> Option<u64> {
    // `|0x100`: with `-X raw` a name of no bits is nothing.
    if word.is_empty() {
        return Some(0);
    }
    if let Some(hex) = word.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    if word.len() > 1 && word.starts_with('0') && word.bytes().all(|b| b.is_ascii_digit()) {
        return u64::from_str_radix(word, 8).ok();
    }
    if word.contains('*') {
        let mut factors = word.split('*').map(|f| parse_plain(f).filter(|_| !f.is_empty()));
        return factors.try_fold(1u64, |product, factor| product.checked_mul(factor?));
    }
    if let Some((one, bit)) = word.split_once("<<") {
        return parse_plain(one)?.checked_shl(parse_plain(bit)?.try_into().ok()?);
    }
    word.parse::<u64>().ok().or_else(|| word.parse::<i64>().ok().map(i64::cast_unsigned))
}

/// Returns the value of a name in `set` or in one of the lists for all calls, or of `makedev(...)`
/// or `IOPRIO_PRIO_VALUE(...)`.
fn named_value(word: &str, set: Option<&Flags>) -> Option<u64> {
    if let Some(inside) = word.strip_prefix("makedev(").and_then(|w| w.strip_suffix(')')) {
        let (major, minor) = inside.split_once(',')?;
        let (major, minor) = (parse_plain(major.trim())?, parse_plain(minor.trim())?);
        return Some(rustix::fs::makedev(major.try_into().ok()?, minor.try_into().ok()?));
    }
    let priority = word.strip_prefix("IOPRIO_PRIO_VALUE(").and_then(|w| w.strip_suffix(')'));
    if let Some((class, level)) = priority.and_then(|inside| inside.split_once(',')) {
        return Some(parse_number(class, None)? << 13 | parse_number(level, None)?);
    }
    let of = |names: &[(u64, &str)]| names.iter().find(|(_, name)| *name == word).map(|(v, _)| *v);
    let known = set.and_then(|s| of(s.bits).or_else(|| s.field.and_then(|(_, names)| of(names))));
    let filled = || FILLED.iter().find_map(|set| of(set.bits));
    let known = known.or_else(filled);
    let words =
        || TYPES.iter().chain(BITS).chain(&OTHERS).find(|(name, _)| *name == word).map(|(_, v)| *v);
    known.or_else(words).or_else(|| NAMES.get(word).copied())
}

/// Numbers of names that are not in the table.
static NAMES: LazyLock<HashMap<&str, u64>> = LazyLock::new(|| {
    let lines = include_str!("names.txt").lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.flat_map(str::split_ascii_whitespace).filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(name, value)| Some((name, parse_plain(value)?))).collect()
});

/// Returns the errno value of this name.
pub(crate) fn errno_by_name(name: &str) -> Option<i64> {
    static ERRORS: LazyLock<HashMap<String, i64>> = LazyLock::new(|| {
        let mut errors: HashMap<String, i64> = (1..4096)
            .filter_map(|e| Some((abi::errno_name(e)?.to_owned(), i64::from(e))))
            .collect();
        errors.extend(
            (512..=516).filter_map(|e| Some((abi::print::restart(e)?.0.to_owned(), i64::from(e)))),
        );
        errors
    });
    ERRORS.get(name).copied()
}

/// Returns the number of the signal of this name.
pub(crate) fn signal_by_name(name: &str) -> Option<u64> {
    (1..=64).find(|n| {
        let mut text = String::new();
        abi::print::signal_name(*n, &mut text);
        text == name
    })
}
