//! Which of a trace's calls are performed, under which names, with which data.

use super::levels::Verify;
use crate::filter::Filter;
use crate::messages::failure::Advise;
use ::replay::{Alteration, Data, Selection};
use anyhow::{Result, anyhow};
use globset::{Glob, GlobSet, GlobSetBuilder};

/// What is chosen of a trace.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Selection")]
pub struct SelectionArgs {
    /// Replay only calls on files whose path matches; may be given several times
    ///
    /// `*` and `?` do not match a slash, `**` does.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Leave out calls on files whose path matches; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Leave out these calls: names and %groups as for `print -e`
    #[arg(long, value_name = "CALLS")]
    pub skip: Option<String>,
    /// Replay only the calls of this process; may be given several times
    #[arg(long, value_name = "PID", value_hint = clap::ValueHint::Other)]
    pub only_pid: Vec<u32>,
    /// Compare and measure only from this time after the first call
    ///
    /// Earlier calls are performed at once and not compared, for the state that they leave.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub from: Option<u64>,
    /// Stop at this time after the first call
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub until: Option<u64>,
    /// Replace the path prefix OLD by NEW; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_parser = parse_path_map)]
    pub map: Vec<(String, String)>,
    /// What to write: recorded, zero, random or pattern:HEX
    ///
    /// random keeps sizes, duplicates and compressibility.
    #[arg(long, value_name = "DATA", default_value = "recorded", value_parser = parse_written_data)]
    pub write_data: Written,
}

/// [`Data`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written(Data);

/// Parses a number of seconds. Returns nanoseconds.
fn parse_seconds(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..1e9).contains(&seconds) => Ok((seconds * 1e9) as u64),
        _ => Err("expected a number of seconds, like 1.5".to_owned()),
    }
}

/// Parses `OLD=NEW`, two absolute paths.
fn parse_path_map(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if old.starts_with('/') && new.starts_with('/') => {
            Ok((old.trim_end_matches('/').to_owned(), new.trim_end_matches('/').to_owned()))
        }
        _ => Err("expected OLD=NEW, two absolute paths, like /var/lib/db=/db".to_owned()),
    }
}

/// Parses the value of `--write-data`: `recorded`, `zero`, `random` or `pattern:HEX`.
fn parse_written_data(text: &str) -> Result<Written, String> {
    let bytes = |hex: &str| {
        (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok())
            .collect::<Option<Vec<u8>>>()
    };
    Ok(Written(match text {
        "recorded" => Data::Recorded,
        "zero" => Data::Zero,
        "random" => Data::Random(1),
        _ => match text.strip_prefix("pattern:").and_then(bytes) {
            Some(pattern) if !pattern.is_empty() => Data::Pattern(pattern),
            _ => {
                let expected =
                    "expected recorded, zero, random or pattern:HEX, like pattern:deadbeef";
                return Err(expected.to_owned());
            }
        },
    }))
}

/// Compiles the globs of `option`, which is its name for messages. Returns `None` if there are
/// none.
fn compile_globs(option: &str, patterns: &[String]) -> Result<Option<GlobSet>> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern)
            .map_err(|e| anyhow!("invalid glob {option} '{pattern}': {}", e.kind()));
        set.add(glob.advise("'*' and '?' match within a name, '**' across directories")?);
    }
    Ok(if patterns.is_empty() { None } else { Some(set.build()?) })
}

impl SelectionArgs {
    /// Returns which calls are to be performed.
    pub fn selection(&self) -> Result<Selection> {
        if let (Some(from), Some(until)) = (self.from, self.until)
            && from > until
        {
            let none: Result<()> = Err(anyhow!(
                "--from {} is after --until {}: no call lies between them",
                from as f64 / 1e9,
                until as f64 / 1e9
            ));
            none.advise("both count seconds from the first call of the trace")?;
        }
        let skipped =
            self.skip.as_ref().map(|text| Filter::parse(std::slice::from_ref(text))).transpose()?;
        let skip = |nr: &u32| skipped.as_ref().is_some_and(|filter| filter.has_number(*nr));
        Ok(Selection {
            include: compile_globs("--include", &self.include)?,
            exclude: compile_globs("--exclude", &self.exclude)?,
            skip: abi::rows().map(|row| row.number).filter(skip).collect(),
            pids: self.only_pid.clone(),
            from: self.from.unwrap_or(0),
            until: self.until,
        })
    }

    /// Returns how calls are altered before they are performed: other paths, other data.
    pub fn alteration(&self) -> Alteration {
        let bytes =
            |(old, new): &(String, String)| (old.clone().into_bytes(), new.clone().into_bytes());
        Alteration { map: self.map.iter().map(bytes).collect(), data: self.write_data.0.clone() }
    }

    /// Returns what can be compared: at most results if a pattern is written, as what reads return
    /// then depends on how the data were written.
    pub fn limit_verification(&self, wanted: Verify) -> Verify {
        match (&self.write_data.0, wanted) {
            (Data::Pattern(_), Verify::Data) => Verify::Result,
            _ => wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        assert_eq!(parse_written_data("pattern:00ff"), Ok(Written(Data::Pattern(vec![0, 255]))));
        assert!(
            ["pattern:", "pattern:0", "pattern:xy", "zeros"]
                .iter()
                .all(|bad| parse_written_data(bad).is_err())
        );
        assert_eq!(parse_path_map("/a/=/b"), Ok(("/a".to_owned(), "/b".to_owned())));
        assert!(parse_path_map("a=b").is_err() && parse_path_map("/a").is_err());
        assert_eq!(parse_seconds("1.5"), Ok(1_500_000_000));
        assert!(parse_seconds("-1").is_err() && parse_seconds("nan").is_err());
    }
}
