//! The statistics for programs: JSON and comma-separated values.

use super::columns::Column;
use super::{Args, columns_of};
use crate::output::json;
use analyze::{Row, Stat, Totals};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::os::unix::ffi::OsStrExt;
use trace::Trace;

/// Returns the JSON document.
pub fn to_json(a: &Args, trace: &Trace, stat: &Stat) -> Result<String> {
    let columns = columns_of(a);
    let totals = |totals: &Totals, shared: bool| {
        let mut object = Map::new();
        for column in columns.iter().filter(|column| !column.is_quantile()) {
            let (key, value) = number(*column, totals, stat.elapsed, shared);
            object.insert(key.to_owned(), value);
        }
        Value::Object(object)
    };
    let rows: Vec<Value> = stat.rows.iter().map(|row| row_to_json(a, row, stat.elapsed)).collect();
    let document = json!({
        "trace": match a.command.is_empty() {
            true => json::bytes_to_json(trace.path().as_os_str().as_bytes()),
            false => Value::Null,
        },
        "verdict": trace.summary().verdict,
        "verified": false,
        "elapsed_ns": stat.elapsed,
        "by": a.by.0.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "interval_ns": a.interval,
        "work": totals(&stat.work, true),
        "waits": totals(&stat.waits, false),
        "rows": rows,
        "more": { "work": stat.more[0], "waits": stat.more[1] },
    });
    let document = json::with_version(document);
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

/// Returns the object of a row.
fn row_to_json(a: &Args, row: &Row, elapsed: u64) -> Value {
    let mut object = Map::new();
    if let (Some(interval), Some(length)) = (row.interval, a.interval) {
        object.insert("from_ns".to_owned(), interval.saturating_mul(length).into());
    }
    for (by, key) in a.by.0.iter().zip(&row.keys) {
        let value = key
            .as_deref()
            .map_or(Value::Null, |text| json::bytes_to_json(&trace::text::unescape(text)));
        object.insert(by.to_string(), value);
    }
    object.insert("waits".to_owned(), row.waits.into());
    for column in columns_of(a) {
        let (key, value) = match column {
            Column::P50 => ("p50_ns", row.quantiles.map(|q| q[0]).into()),
            Column::P95 => ("p95_ns", row.quantiles.map(|q| q[1]).into()),
            Column::P99 => ("p99_ns", row.quantiles.map(|q| q[2]).into()),
            other => number(*other, &row.totals, elapsed, !row.waits),
        };
        object.insert(key.to_owned(), value);
    }
    Value::Object(object)
}

/// Returns the key and the value of a column, with its unit in the key. `shared`: there is a share
/// of the elapsed time.
fn number(column: Column, totals: &Totals, elapsed: u64, shared: bool) -> (&'static str, Value) {
    let large = |n: i128| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
    let share = (shared && elapsed > 0).then(|| totals.wall as f64 / elapsed as f64);
    match column {
        Column::Calls => ("calls", totals.calls.into()),
        Column::Errors => ("errors", totals.errors.into()),
        Column::Time => ("time_ns", large(totals.time)),
        Column::Wall => ("wall_ns", totals.wall.into()),
        Column::Share => ("share", share.into()),
        Column::Mean => ("mean_ns", totals.mean().into()),
        Column::Max => ("max_ns", totals.max.into()),
        Column::Bytes => ("bytes", totals.bytes.map_or(Value::Null, large)),
        Column::Rate => ("bytes_per_s", totals.rate().into()),
        Column::P50 | Column::P95 | Column::P99 => ("", Value::Null),
    }
}

/// Returns the rows as comma-separated values, the names of the columns first. Values of keys are
/// escaped as the columns of the trace are.
pub fn to_csv(a: &Args, stat: &Stat) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = csv_names(a);
    writer.write_record(&names)?;
    for row in &stat.rows {
        let object = row_to_json(a, row, stat.elapsed);
        let fields =
            names.iter().map(|name| match a.by.0.iter().position(|by| by.to_string() == *name) {
                Some(i) => row.keys[i].clone().unwrap_or_default(),
                None => match &object[name] {
                    Value::Null => String::new(),
                    value => value.to_string(),
                },
            });
        writer.write_record(fields)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// Returns the names of the columns in the order of the table.
fn csv_names(a: &Args) -> Vec<String> {
    let mut names: Vec<String> = a.interval.map(|_| "from_ns".to_owned()).into_iter().collect();
    names.extend(a.by.0.iter().map(ToString::to_string));
    names.push("waits".to_owned());
    let columns = columns_of(a).iter().map(|column| match column {
        Column::P50 => "p50_ns",
        Column::P95 => "p95_ns",
        Column::P99 => "p99_ns",
        other => number(*other, &Totals::default(), 0, true).0,
    });
    names.extend(columns.map(str::to_owned));
    names
}
