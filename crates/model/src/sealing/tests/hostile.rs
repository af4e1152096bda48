//! Traces that someone has altered, by accident or on purpose: an error or a right answer, no panic
//! out of the crate, bounded memory.

use super::*;
use crate::Tables;
use serde_json::Value;
use std::path::PathBuf;

const NAME: &str = "trace.json";

/// How much more memory the process may allocate; with more it is aborted, and the test fails.
const MEMORY: u64 = 1 << 30;

/// Random numbers that are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    /// Returns a number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n as u64) as usize
    }
}

/// Records and seals a trace with several segments, a late call and an event. Returns its path.
fn sample_trace(dir: &Path) -> PathBuf {
    let path = dir.join("sample.ra");
    let mut items: Vec<Item> =
        (0..300).map(|n| read_call(1, 100 + n * 10, 105 + n * 10, &[n as u8 % 3; 600])).collect();
    items.insert(250, read_call(2, 101, 2600, b"late"));
    items.push(Item::Event(Event {
        time: 9999,
        kind: RecordKind::Exit,
        pid: 1,
        tid: 1,
        args: [0; 6],
        payloads: Vec::new(),
    }));
    record_and_seal(&path, &items, 100);
    path
}

/// Returns the names and contents of all files of a trace.
fn files_of(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()))
        .collect();
    all.sort();
    all
}

/// Limits the address space of the process to [`MEMORY`] more than it has now.
fn limit_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let used: u64 = std::fs::read_to_string("/proc/self/statm")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 4096;
    setrlimit(Resource::As, Rlimit { current: Some(used + MEMORY), maximum: None }).unwrap();
}

/// Reads all items and tables of a trace. Returns how many items there are.
fn read_everything(path: &Path) -> Result<usize, Error> {
    let trace = open_recovered(path)?.0;
    let mut n = 0;
    for data in [true, false] {
        for item in trace.read(ReadOptions { data }) {
            item?;
            n += 1;
        }
    }
    trace.files()?;
    for origin in trace.origins()? {
        origin?;
    }
    Ok(n)
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..1 + dice.below(3) {
        let len = bytes.len();
        if len == 0 {
            return;
        }
        // Half of the time where the numbers are: Parquet's footer stands at the end.
        let at =
            if dice.below(2) == 0 { len - 1 - dice.below(len.min(1500)) } else { dice.below(len) };
        match dice.below(8) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.below(256) as u8,
            2 => bytes.truncate(at),
            3 => bytes[at..len.min(at + 5)].fill(0xff),
            4 => bytes[at] = bytes[at].wrapping_add(1),
            5 => bytes.insert(at, dice.below(256) as u8),
            6 => drop(bytes.remove(at)),
            _ => {
                let from = dice.below(len);
                let some = bytes[from..len.min(from + 40)].to_vec();
                bytes.splice(at..at, some);
            }
        }
    }
}

#[test]
fn damage_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = sample_trace(dir.path());
    let whole = files_of(&path);
    let n = read_everything(&path).unwrap();
    limit_memory();
    let mut dice = Dice(1);
    for round in 0..1000 {
        let (name, bytes) = &whole[round % whole.len()];
        let mut bad = bytes.clone();
        mutate(&mut bad, &mut dice);
        std::fs::write(path.join(name), &bad).unwrap();
        match read_everything(&path) {
            Ok(m) if name != NAME && *name != "processes.parquet" => assert!(
                m == n && bad == *bytes,
                "round {round}: {name} was altered and nobody noticed"
            ),
            Ok(_) | Err(_) => {}
        }
        // An altered trace.json may say that there is a journal to seal, which removes what is
        // there.
        whole.iter().for_each(|(name, bytes)| std::fs::write(path.join(name), bytes).unwrap());
    }
}

/// The same, and the forger has put the right hashes into trace.json.
#[test]
fn forgeries_are_survived() {
    let dir = tempfile::tempdir().unwrap();
    let path = sample_trace(dir.path());
    let whole = files_of(&path);
    limit_memory();
    let text = std::fs::read(path.join(NAME)).unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    let mut dice = Dice(1);
    let tables: Vec<_> = whole.iter().filter(|(name, _)| name.ends_with(".parquet")).collect();
    let (mut refused, mut accepted) = (0, 0);
    for round in 0..2000 {
        let (name, bytes) = tables[round % tables.len()];
        let mut bad = bytes.clone();
        mutate(&mut bad, &mut dice);
        std::fs::write(path.join(name), &bad).unwrap();
        let mut forged = document.clone();
        for list in ["segments", "tables"] {
            for sealed in forged[list].as_array_mut().unwrap() {
                if sealed["file"] == **name {
                    sealed["bytes"] = bad.len().into();
                    sealed["blake3"] = blake3::hash(&bad).to_hex().as_str().into();
                }
            }
        }
        std::fs::write(path.join(NAME), serde_json::to_vec(&forged).unwrap()).unwrap();
        match read_everything(&path) {
            Ok(_) => accepted += 1,
            Err(_) => refused += 1,
        }
        std::fs::write(path.join(name), bytes).unwrap();
    }
    assert!(refused > 500 && accepted > 10, "{refused} refused, {accepted} accepted");
}

#[test]
fn newer_traces_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = sample_trace(dir.path());
    let text = std::fs::read_to_string(path.join(NAME)).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from));
        std::fs::write(path.join(NAME), text.replacen(from, to, 1)).unwrap();
        Trace::open(&path).map(|_| ()).map_err(|e| e.to_string())
    };
    let newer = with("\"major\": 1", "\"major\": 2").unwrap_err();
    assert!(
        newer.ends_with("has format 2.3, but this reanimator reads 1.x: use a newer one"),
        "{newer}"
    );
    with("\"minor\": 3", "\"minor\": 7,\n    \"novelty\": [1]").unwrap();
    assert!(with("reanimator trace", "shopping list").unwrap_err().contains("is not a trace"));
    std::fs::remove_file(path.join(NAME)).unwrap();
    assert!(
        Trace::open(&path).map(|_| ()).unwrap_err().to_string().contains("it has no trace.json")
    );
}

#[test]
fn files_elsewhere_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = sample_trace(dir.path());
    std::fs::rename(path.join("calls-00000.parquet"), dir.path().join("x.parquet")).unwrap();
    std::os::unix::fs::symlink("../x.parquet", path.join("calls-00000.parquet")).unwrap();
    assert!(matches!(read_everything(&path), Err(Error::Io { .. })));
    let text = std::fs::read_to_string(path.join(NAME))
        .unwrap()
        .replace("calls-00000.parquet", "../x.parquet");
    std::fs::write(path.join(NAME), text).unwrap();
    assert!(matches!(read_everything(&path), Err(Error::Damaged { .. })));
}

/// No file has such a name. Replay could not make it, and the reader refuses a manifest with it.
#[test]
fn a_name_with_a_nul_is_left_out() {
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("t.ra");
    let mkdir = |tid, name: &[u8]| {
        let Item::Call(call) = read_call(tid, u64::from(tid) * 10, u64::from(tid) * 10 + 5, b"")
        else {
            unreachable!("a call is a call")
        };
        let payload = |arg, kind, bytes: &[u8]| Payload {
            arg,
            kind,
            flags: 0,
            len: bytes.len() as u64,
            wanted: bytes.len() as u64,
            bytes: bytes.into(),
        };
        Item::Call(Call {
            nr: abi::by_name("mkdir").unwrap().number,
            args: [1, 0o755, 0, 0, 0, 0],
            ret: 0,
            payloads: vec![payload(0, PayloadKind::String, name)],
            ..call
        })
    };
    record_and_seal(&path, &[mkdir(1, b"/w/a"), mkdir(2, b"/w/b\0c/d"), mkdir(3, b"/w/e")], 100);
    let trace = Trace::open(&path).unwrap();
    let paths: Vec<Vec<u8>> = trace.files().unwrap().into_iter().map(|row| row.path).collect();
    assert!(paths.contains(&b"/w/a".to_vec()) && paths.contains(&b"/w/e".to_vec()), "{paths:?}");
    assert!(paths.iter().all(|path| !path.contains(&0)), "{paths:?}");
    assert!(trace.summary().notes.iter().any(|note| note.contains("NUL")));
}
