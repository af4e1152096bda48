//! The columns that plain readers of the files see.

use super::*;

/// The identity of a regular file, as an open shows it.
fn identity(path: &[u8]) -> Payload {
    use zerocopy::IntoBytes;
    let bytes =
        [Identity { ino: 5, mode: 0o100_644, ..Default::default() }.as_bytes(), path].concat();
    Payload {
        arg: abi::plan::RESULT,
        kind: PayloadKind::Identity,
        flags: AT_EXIT,
        len: bytes.len() as u64,
        wanted: 0,
        bytes: bytes.into(),
    }
}

/// An open, two reads, an open that fails, and a read that does not return.
fn items() -> [Item; 5] {
    let name = Payload {
        arg: 1,
        kind: PayloadKind::String,
        flags: 0,
        len: 6,
        wanted: 6,
        bytes: b"./a\xffb".to_vec().into(),
    };
    let open = Call {
        seq: 0,
        entered: 10,
        exited: Some(20),
        pid: 1,
        tid: 1,
        nr: 257,
        flags: 0,
        args: [u64::MAX - 99, 1, 0, 0, 0, 0],
        ret: 3,
        fd_snapshot: Default::default(),
        payloads: vec![name, identity(b"/a\xffb")],
    };
    let missing = Call {
        entered: 60,
        exited: Some(70),
        ret: -2,
        payloads: vec![open.payloads[0].clone()],
        ..open.clone()
    };
    let stuck = Call {
        entered: 80,
        exited: None,
        nr: 0,
        flags: NO_EXIT,
        ret: 0,
        args: [3, 0, 9, 0, 0, 0],
        payloads: vec![],
        ..open.clone()
    };
    [
        Item::Call(open),
        read_call(1, 30, 40, b"0123456789"),
        read_call(1, 41, 50, b"0123456789"),
        Item::Call(missing),
        Item::Call(stuck),
    ]
}

/// What plain readers see.
#[test]
fn columns_for_people() {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int32Type, Int64Type};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    record_and_seal(&path, &items(), 100);
    let file = std::fs::File::open(path.join("calls-00000.parquet")).unwrap();
    let batch = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap().clone();
    let texts = |name: &str| {
        column(name).as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>()
    };
    let some = |texts: [&str; 5]| texts.map(|t| (!t.is_empty()).then(|| t.to_owned())).to_vec();
    assert_eq!(texts("call"), some(["openat", "read", "read", "openat", "read"]));
    assert_eq!(texts("error"), some(["", "", "", "ENOENT", ""]));
    assert_eq!(texts("file"), some(["/a\\xffb", "/a\\xffb", "/a\\xffb", "", "/a\\xffb"]));
    assert_eq!(texts("path"), some(["/a\\xffb", "", "", "/a\\xffb", ""]));
    assert_eq!(
        column("fd").as_primitive::<Int32Type>().iter().collect::<Vec<_>>(),
        [Some(3), Some(3), Some(3), None, Some(3)]
    );
    assert_eq!(
        column("offset").as_primitive::<Int64Type>().iter().collect::<Vec<_>>()[1..3],
        [Some(0), Some(10)]
    );
    assert_eq!(
        column("bytes").as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [None, Some(10), Some(10), None, None]
    );
    assert_eq!(
        column("result").as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(3), Some(10), Some(10), Some(-2), None]
    );
    assert_eq!(
        column("data").as_binary::<i32>().iter().flatten().map(<[u8]>::len).sum::<usize>(),
        20
    );
    assert_eq!(column("data").null_count(), 3);
}
