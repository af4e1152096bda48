//! Damage to a real trace with the right hashes put in: what can be decoded is printed and
//! replayed.

use super::Outside;
use crate::harness::run::run;
use crate::hostile::random::Random;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Puts the length and hash of `file` as it is now into `trace.json`.
fn rehash(trace: &Path, file: &str) {
    let path = trace.join("trace.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let bytes = fs::read(trace.join(file)).unwrap();
    for list in ["segments", "tables"] {
        for sealed in
            document[list].as_array_mut().unwrap().iter_mut().filter(|s| s["file"] == file)
        {
            sealed["bytes"] = bytes.len().into();
            sealed["blake3"] = blake3::hash(&bytes).to_hex().as_str().into();
        }
    }
    fs::write(path, document.to_string()).unwrap();
}

/// 300 forgeries through everything that reads a trace: whatever they make of it, nothing happens
/// outside the root.
#[test]
fn forged_files_are_printed_and_performed() {
    let mut outside = Outside::new();
    let trace = outside.place.trace("t");
    let script = "mkdir d; echo x > d/f; cat d/f > g; ln -s g h; mv g d/g; ls -l; rm h; cat \
        ../outside/canary > copy";
    run(&mut outside.place.record(&trace, &[], ["/bin/dash", "-c", script])).ok("record");
    let whole: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&trace)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_file())
        .map(|p| (p.clone(), fs::read(&p).unwrap()))
        .collect();
    let (mut random, mut performed) = (Random(2026), 0);
    for i in 0..300 {
        let (path, content) = &whole[random.below(whole.len() as u64) as usize];
        let mut forged = content.clone();
        random.damage(&mut forged);
        fs::write(path, &forged).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name != "trace.json" {
            rehash(&trace, name);
        }
        let what = format!("forgery {i} of {name}");
        let command: &[&str] =
            if i % 2 == 0 { &["print", "-y", "-T"] } else { &["print", "--json"] };
        let printed = run(outside.place.reanimator(command).arg(&trace));
        assert!(
            matches!(printed.code, Some(0..=2)) && !printed.stderr.contains("panicked"),
            "{what}: {printed:?}"
        );
        performed += u32::from(outside.survives(&what, &trace).code != Some(2));
        // What was forged may say that there is something to seal, and sealing removes what is
        // there.
        whole.iter().for_each(|(path, content)| fs::write(path, content).unwrap());
    }
    assert!(performed > 10, "only {performed} of 300 were performed");
}

/// One file under many names in `trace.json`, and many files where there should be two.
#[test]
fn files_named_again_and_again() {
    let mut outside = Outside::new();
    let trace = outside.place.trace("t");
    run(&mut outside.place.record(&trace, &[], ["/bin/dash", "-c", "echo x > f"])).ok("record");
    let path = trace.join("trace.json");
    let whole: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let tables = whole["tables"].as_array().unwrap();
    let events = tables.iter().find(|t| t["file"] == "events.parquet").unwrap();
    let calls = whole["segments"][0].clone();

    let mut same = whole.clone();
    same["tables"] = tables.iter().cloned().chain(vec![events.clone(); 24]).collect();
    let mut segments = whole.clone();
    segments["segments"] = vec![calls; 24].into();
    for forged in [same, segments] {
        fs::write(&path, forged.to_string()).unwrap();
        for command in ["print", "verify", "info"] {
            let ran = run(outside.place.reanimator([command]).arg(&trace));
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains("more than once"), "{ran:?}");
        }
    }

    // Copies under other names: only those that we write are read at the same time.
    let mut copies = whole.clone();
    let named = |i: usize| format!("events-{i}.parquet");
    for i in 0..24 {
        fs::copy(trace.join("events.parquet"), trace.join(named(i))).unwrap();
        let mut copy = events.clone();
        copy["file"] = named(i).into();
        copies["tables"].as_array_mut().unwrap().push(copy);
    }
    fs::write(&path, copies.to_string()).unwrap();
    let printed = |trace: &Path| run(outside.place.reanimator(["print"]).arg(trace)).ok("print");
    let with_copies = printed(&trace).stdout;
    fs::write(&path, whole.to_string()).unwrap();
    assert_eq!(with_copies, printed(&trace).stdout);
    outside.unchanged("files named again and again");
}
