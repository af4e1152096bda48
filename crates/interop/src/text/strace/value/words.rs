//! Parses numbers, and names of numbers.

use crate::text::strace::lexer::{TokenKind, Tokens};
use abi::Flags;
use abi::flags::file;
use ahash::HashMap;
use linux_raw_sys::general::*;
use std::sync::LazyLock;

/// Returns a number without the path or name in angle brackets that follows it.
fn strip_name(text: &str) -> &str {
    if !text.contains('<') {
        return text;
    }
    let name = Tokens::new(text).find(|(kind, ..)| *kind == TokenKind::AngleBrackets);
    name.map_or(text, |(_, start, _)| &text[..start])
}

/// Flags in fields that the kernel fills in. The table of system calls assigns no names to these
/// fields, as nothing compares them.
static KERNEL_FLAGS: [&Flags; 4] =
    [&file::STATX_MASK, &file::STATX_ATTR, &file::FS_TYPE, &file::STATFS];

macro_rules! names {
    ($($name:ident)+) => { &[$((stringify!($name), $name as u64)),+] };
}
/// Names of file types.
static FILE_TYPES: &[(&str, u64)] =
    names! { S_IFREG S_IFDIR S_IFLNK S_IFCHR S_IFBLK S_IFIFO S_IFSOCK };
/// Names that may occur in arguments of any call.
static COMMON_NAMES: &[(&str, u64)] = names! {
    S_ISUID S_ISGID S_ISVTX S_IRWXU S_IRUSR S_IWUSR S_IXUSR S_IRWXG S_IRGRP S_IWGRP S_IXGRP S_IRWXO
    S_IROTH S_IWOTH S_IXOTH UTIME_NOW UTIME_OMIT AT_FDCWD AT_STATX_SYNC_AS_STAT RLIM64_INFINITY
    RLIM_INFINITY SIGCHLD
};
/// Names that the headers of Linux do not have, or not as numbers.
static NAMES_WITHOUT_HEADER: [(&str, u64); 9] = [
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

/// Parses a number in any form that strace prints: also as names of `set` with `|` between them, or
/// as a signal set. `~` before it inverts all bits. Returns `None` if a part of it is unknown.
pub(crate) fn parse_number(text: &str, set: Option<&Flags>) -> Option<u64> {
    let text = strip_name(text).trim();
    let plain = text.trim_start_matches('~');
    let inverted = (text.len() - plain.len()) % 2 == 1;
    let (bits, all_known) = match plain.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some(signals) if set.is_some() => (parse_signal_set(signals)?, true),
        _ => sum_words(plain, set),
    };
    all_known.then_some(if inverted { !bits } else { bits })
}

/// Parses `INT TERM RTMIN RT_1`, the inside of a signal set as strace prints it. Signal N is bit N
/// - 1 of the result. Returns `None` if a name is unknown.
fn parse_signal_set(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().try_fold(0, |set, word| {
        let number = match word {
            // strace means the kernel's SIGRTMIN; the C library's is 34.
            "RTMIN" => 32,
            // `-X raw` prints numbers.
            word => word.parse().ok().or_else(|| signal_by_name(&format!("SIG{word}")))?,
        };
        Some(set | 1u64.checked_shl(u32::try_from(number).ok()?.checked_sub(1)?)?)
    })
}

/// Returns the bits of those words of `A|B|0x80` that are known.
pub(crate) fn sum_known(text: &str, set: Option<&Flags>) -> u64 {
    sum_words(text, set).0
}

/// Returns the bits of those words of `A|B|0x80` that are known, and whether all words are.
pub(crate) fn sum_words(text: &str, set: Option<&Flags>) -> (u64, bool) {
    let text = strip_name(text).trim();
    if text.is_empty() {
        return (0, false);
    }
    let words = text.split('|').map(str::trim);
    words.fold((0, true), |(bits, all_known), word| {
        match parse_plain(word).or_else(|| named_value(word, set)) {
            Some(value) => (bits | value, all_known),
            None => (bits, false),
        }
    })
}

/// Parses a number that consists of digits: hexadecimal, octal, decimal, a product (`4*1024`) or a
/// shift (`1<<3`). An empty text is 0. Returns `None` for other texts.
fn parse_plain(word: &str) -> Option<u64> {
    // `-X raw` prints nothing for a name whose value is 0, such as O_RDONLY in `|0x100`.
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
    if let Some((value, shift)) = word.split_once("<<") {
        return parse_plain(value)?.checked_shl(parse_plain(shift)?.try_into().ok()?);
    }
    word.parse::<u64>().ok().or_else(|| word.parse::<i64>().ok().map(i64::cast_unsigned))
}

/// Returns the value of a name: in `set`, in the lists of this module, or a macro with its
/// arguments (`makedev(...)`, `IOPRIO_PRIO_VALUE(...)`). Returns `None` if it is unknown.
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
    let value_in = |names: &[(u64, &str)]| {
        names.iter().find(|(_, name)| *name == word).map(|(value, _)| *value)
    };
    let in_set = set.and_then(|set| {
        value_in(set.bits).or_else(|| set.field.and_then(|(_, names)| value_in(names)))
    });
    let in_kernel_flags = || KERNEL_FLAGS.iter().find_map(|set| value_in(set.bits));
    let in_lists = || {
        let names = FILE_TYPES.iter().chain(COMMON_NAMES).chain(&NAMES_WITHOUT_HEADER);
        names.into_iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
    };
    in_set.or_else(in_kernel_flags).or_else(in_lists).or_else(|| NAMES.get(word).copied())
}

/// The names of `names.txt`, which the table of system calls lacks, and their values.
static NAMES: LazyLock<HashMap<&str, u64>> = LazyLock::new(|| {
    let lines = include_str!("names.txt").lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.flat_map(str::split_ascii_whitespace).filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(name, value)| Some((name, parse_plain(value)?))).collect()
});

/// Returns the errno of this name; also of those that the kernel uses only internally, such as
/// `ERESTARTSYS`.
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

/// Returns the number of the signal of this name (`SIGINT`), or `None` if there is none.
pub(crate) fn signal_by_name(name: &str) -> Option<u64> {
    (1..=64).find(|n| {
        let mut text = String::new();
        abi::print::signal_name(*n, &mut text);
        text == name
    })
}
