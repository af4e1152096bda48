//! docs/trace-schema.md has the columns of the files. (Its queries are run with all other
//! examples.)

use crate::harness::place::Place;
use crate::harness::python::python;
use crate::harness::run::{finish, run, start, wait_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The columns of each file, by their type with `?` for those that can be null.
type Schema = BTreeMap<String, Vec<(String, String)>>;

fn documented() -> Schema {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/trace-schema.md");
    let (mut schema, mut file) = (Schema::new(), None);
    for line in fs::read_to_string(page).unwrap().lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            file = heading.ends_with(".parquet").then(|| heading.to_owned());
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let (Some(file), ["", name, kind, ..]) = (&file, &cells[..])
            && let Some(name) = name.strip_prefix('`').and_then(|n| n.strip_suffix('`'))
        {
            assert!(cells.len() == 7, "five columns: {line}");
            let column = (name.to_owned(), (*kind).to_owned());
            schema.entry(file.clone()).or_default().push(column);
        }
    }
    let names = schema["files.parquet"].clone();
    schema.insert("unnamed.parquet".to_owned(), names);
    schema
}

const LOOK: &str = r#"
import glob, json, os, sys
import pyarrow as pa
import pyarrow.parquet as pq
names = {"uint64": "UINT64", "uint32": "UINT32", "uint8": "UINT8",
         "int64": "INT64", "int32": "INT32",
         "string": "STRING", "binary": "BINARY", "bool": "BOOLEAN",
         "timestamp[ns, tz=UTC]": "TIMESTAMP"}
found = {}
for path in glob.glob(sys.argv[1] + "/*.parquet"):
    table = pq.ParquetFile(path).read()
    found[os.path.basename(path)] = [
        [f.name, "LIST" if pa.types.is_list(f.type) else names.get(str(f.type), str(f.type)),
         table[f.name].null_count] for f in table.schema]
print(json.dumps(found))
"#;

/// A trace with all kinds of files: a file without a name, a change by others, a snapshot.
const PROGRAM: &str = "cat <&3; cat other; touch ready; until [ -s other ]; do :; done; cat other; \
                       cp original copy; rm copy";

#[test]
fn the_page_has_the_columns_of_the_files() {
    let place = Place::new();
    let (work, trace) = (place.work(), place.trace("t"));
    fs::write(work.join("original"), "original").unwrap();
    fs::write(work.join("unnamed"), "unnamed").unwrap();
    let unnamed = fs::File::open(work.join("unnamed")).unwrap();
    fs::remove_file(work.join("unnamed")).unwrap();
    // dash gets it as descriptor 3 through stdin, and passes it on.
    let program = format!("exec 3<&0; {PROGRAM}");
    let mut record = place.record(&trace, &["--snapshot"], ["/bin/dash", "-c", &program]);
    let recording = start(record.stdin(unnamed));
    wait_for("the program", || work.join("ready").exists());
    fs::write(work.join("other"), "by another program").unwrap();
    finish(recording, "record").ok("record");

    let ran = run(python().args(["-c", LOOK]).arg(&trace)).ok("pyarrow");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let documented = documented();
    let mut seen = Vec::new();
    for (file, columns) in found.as_object().unwrap() {
        let page = if file.starts_with("calls-") { "calls-NNNNN.parquet" } else { file };
        seen.push(page.to_owned());
        let page = documented.get(page).unwrap_or_else(|| panic!("the page lacks {file}"));
        let columns = columns.as_array().unwrap();
        let there: Vec<(&str, &str)> =
            columns.iter().map(|c| (c[0].as_str().unwrap(), c[1].as_str().unwrap())).collect();
        let told: Vec<(&str, &str)> =
            page.iter().map(|(name, kind)| (&**name, kind.trim_end_matches('?'))).collect();
        assert_eq!(there, told, "{file}");
        for (column, (name, kind)) in columns.iter().zip(page) {
            let nulls = column[2].as_u64().unwrap();
            assert!(nulls == 0 || kind.ends_with('?'), "{file}: {name} can be null");
        }
    }
    seen.sort();
    let all: Vec<&String> = documented.keys().collect();
    assert_eq!(seen.iter().collect::<Vec<_>>(), all, "each file of the page was looked at");
}
