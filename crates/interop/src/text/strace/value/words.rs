//! Parses numbers, and names of numbers.

use crate::text::strace::lexer::{Token, Tokens};
use abi::Flags;
use abi::flags::file;
use ahash::HashMap;
use linux_raw_sys::general::*;
use std::sync::LazyLock;

/// A number without the name that follows it.
fn bare(text: &str) -> &str {
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

/// Parses a number in any of strace's forms, with the names of `set`. `None`: a part of it is
/// unknown.
pub(crate) fn number(text: &str, set: Option<&Flags>) -> Option<u64> {
    let text = bare(text).trim();
    let plain = text.trim_start_matches('~');
    let negated = (text.len() - plain.len()) % 2 == 1;
    let (sum, all) = match plain.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some(signals) if set.is_some() => (signal_set(signals)?, true),
        _ => sum(plain, set),
    };
    all.then_some(if negated { !sum } else { sum })
}

/// `INT TERM RTMIN RT_1`, the bits of a signal set.
fn signal_set(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().try_fold(0, |set, word| {
        let number = match word {
            "RTMIN" => 32,
            // With `-X raw`.
            word => word.parse().ok().or_else(|| signal(&format!("SIG{word}")))?,
        };
        Some(set | 1u64.checked_shl(u32::try_from(number).ok()?.checked_sub(1)?)?)
    })
}

/// The sum of the names and numbers that are known.
pub(crate) fn words(text: &str, set: Option<&Flags>) -> u64 {
    sum(text, set).0
}

/// The sum of the names and numbers that are known, and whether all are.
pub(crate) fn sum(text: &str, set: Option<&Flags>) -> (u64, bool) {
    let text = bare(text).trim();
    if text.is_empty() {
        return (0, false);
    }
    let words = text.split('|').map(str::trim);
    words.fold((0, true), |(sum, all), word| match plain(word).or_else(|| named(word, set)) {
        Some(v) => (sum | v, all),
        None => (sum, false),
    })
}

fn plain(word: &str) -> Option<u64> {
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
        let mut factors = word.split('*').map(|f| plain(f).filter(|_| !f.is_empty()));
        return factors.try_fold(1u64, |product, factor| product.checked_mul(factor?));
    }
    if let Some((one, bit)) = word.split_once("<<") {
        return plain(one)?.checked_shl(plain(bit)?.try_into().ok()?);
    }
    word.parse::<u64>().ok().or_else(|| word.parse::<i64>().ok().map(i64::cast_unsigned))
}

fn named(word: &str, set: Option<&Flags>) -> Option<u64> {
    if let Some(inside) = word.strip_prefix("makedev(").and_then(|w| w.strip_suffix(')')) {
        let (major, minor) = inside.split_once(',')?;
        let (major, minor) = (plain(major.trim())?, plain(minor.trim())?);
        return Some(rustix::fs::makedev(major.try_into().ok()?, minor.try_into().ok()?));
    }
    let priority = word.strip_prefix("IOPRIO_PRIO_VALUE(").and_then(|w| w.strip_suffix(')'));
    if let Some((class, level)) = priority.and_then(|inside| inside.split_once(',')) {
        return Some(number(class, None)? << 13 | number(level, None)?);
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
    pairs.filter_map(|(name, value)| Some((name, plain(value)?))).collect()
});

/// The error of this name.
pub(crate) fn errno(name: &str) -> Option<i64> {
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

/// The number of the signal of this name.
pub(crate) fn signal(name: &str) -> Option<u64> {
    (1..=64).find(|n| {
        let mut text = String::new();
        abi::print::signal_name(*n, &mut text);
        text == name
    })
}
