//! Options that are lists of words.

use super::columns::Column;
use crate::output::units::parse_duration;
use analyze::{By, SortBy};

/// The keys of `--by`.
#[derive(Debug, Clone)]
pub struct Keys(pub Vec<By>);

/// The columns of `--columns`.
#[derive(Debug, Clone)]
pub struct Columns(pub Vec<Column>);

/// Parses one to three keys, separated by commas.
pub fn parse_keys(text: &str) -> Result<Keys, String> {
    let keys: Vec<By> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
    if keys.len() > 3 {
        return Err(format!("{} keys are given, and there can be three", keys.len()));
    }
    match keys.iter().enumerate().find(|(i, key)| keys[..*i].contains(key)) {
        Some((_, twice)) => Err(format!("{twice} is given twice")),
        None => Ok(Keys(keys)),
    }
}

/// Parses a list of columns, separated by commas.
pub fn parse_columns(text: &str) -> Result<Columns, String> {
    let column = |word: &str| {
        let known = Column::ALL.into_iter().find(|column| column.name() == word);
        known.ok_or_else(|| {
            let names = Column::ALL.map(Column::name).join(" ");
            format!("unknown column '{word}'; known columns: {names}")
        })
    };
    Ok(Columns(text.split(',').map(column).collect::<Result<_, _>>()?))
}

/// Parses what rows are sorted by.
pub fn parse_sort(text: &str) -> Result<SortBy, String> {
    let known = SortBy::NAMES.into_iter().find(|(name, _)| *name == text);
    known.map(|(_, by)| by).ok_or_else(|| {
        let names = SortBy::NAMES.map(|(name, _)| name).join(" ");
        let why = match text {
            "share" => "share is in the order of wall",
            "p50" | "p95" | "p99" => "percentiles are computed only of the rows that are shown",
            _ => "there is no such order",
        };
        format!("{why}; rows can be sorted by: {names}")
    })
}

/// Parses the length of an interval to nanoseconds.
pub fn parse_interval(text: &str) -> Result<u64, String> {
    match parse_duration(text)? {
        0 => Err("an interval must be longer than 0".to_owned()),
        nanos => Ok(nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_explained() {
        let told = [
            parse_keys("call,call").map(drop),
            parse_keys("call,class,file,dir").map(drop),
            parse_keys("calls").map(drop),
            parse_keys("").map(drop),
            parse_keys("dir:0").map(drop),
            parse_columns("p50,p90").map(drop),
            parse_sort("p99").map(drop),
            parse_sort("share").map(drop),
            parse_sort("size").map(drop),
        ];
        let told: Vec<String> =
            told.into_iter().map(|mistake| mistake.expect_err("a mistake")).collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
