//! A trace read by DuckDB from PyPI, with nothing of ours: the same counts, the same bytes.

use crate::harness::place::{Place, number};
use crate::harness::python::python;
use crate::harness::run::run;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

const QUESTIONS: &str = r#"
import sys, json, hashlib
import duckdb
calls = f"'{sys.argv[1]}/calls-*.parquet'"
ask = lambda sql: duckdb.sql(sql).fetchall()
content = hashlib.sha256()
copied = "call = 'write' AND file LIKE '%/work/copy'"
order = "AND error IS NULL ORDER BY entered"
for (data,) in ask(f"SELECT data FROM {calls} WHERE {copied} {order}"):
    content.update(data)
print(json.dumps({
    'calls': ask(f"SELECT count(*) FROM {calls}")[0][0],
    'by_name': dict(ask(f"SELECT call, count(*) FROM {calls} GROUP BY call")),
    'moved': int(ask(f"SELECT sum(bytes) FROM {calls} WHERE {copied}")[0][0]),
    'failed': ask(f"SELECT count(*) FROM {calls} WHERE error = 'ENOENT'")[0][0],
    'copied': content.hexdigest(),
    'files': ask(f"SELECT count(*) FROM '{sys.argv[1]}/files.parquet'")[0][0],
    'processes': ask(f"SELECT count(DISTINCT pid) FROM '{sys.argv[1]}/processes.parquet'")[0][0],
}))
"#;

#[test]
fn duckdb_finds_the_same_counts_and_bytes() {
    let place = Place::new();
    let content: Vec<u8> =
        (0..700_001u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(place.work().join("original"), &content).unwrap();
    let trace = place.trace("t");
    let script = "dd if=original of=copy bs=60000 status=none; cat nothing; ls > listed; exit 0";
    run(&mut place.record(&trace, &[], ["/bin/dash", "-c", script])).ok("record");

    let said = run(python().args(["-c", QUESTIONS]).arg(&trace)).ok("DuckDB");
    let found: Value = serde_json::from_str(&said.stdout).unwrap();

    let info = place.info(&trace);
    assert_eq!(number(&found, "calls"), number(&info, "calls"), "{found} {info}");
    assert_eq!(number(&found, "processes"), number(&info, "processes"), "{found} {info}");
    let mut by_name = BTreeMap::new();
    let rows = place.rows(&trace, &[]);
    for row in &rows {
        *by_name.entry(row["call"].as_str().unwrap().to_owned()).or_insert(0u64) += 1;
    }
    let theirs: BTreeMap<String, u64> = serde_json::from_value(found["by_name"].clone()).unwrap();
    assert_eq!(theirs, by_name);
    let failed = rows.iter().filter(|r| r["error"] == "ENOENT").count() as u64;
    assert_eq!(number(&found, "failed"), failed);
    assert_eq!(number(&found, "moved"), content.len() as u64);
    let sha = run(Command::new("sha256sum").arg(place.work().join("copy"))).ok("sha256sum").stdout;
    assert_eq!(found["copied"].as_str().unwrap(), &sha[..64]);
    assert_eq!(fs::read(place.work().join("copy")).unwrap(), content);
    assert!(number(&found, "files") > 3, "{found}");
}
