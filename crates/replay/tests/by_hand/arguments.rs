//! What calls move: later buffers, short writes.

use crate::RDWR_CREATE;
use crate::script::{Script, payload};
use trace::record::{AT_EXIT, PayloadKind};

#[test]
fn a_difference_in_a_later_buffer_is_told() {
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.write(1, 3, b"hello world");
    s.call(1, "lseek", &[3, 0, 0], 0, vec![]);
    let vector: Vec<u8> =
        [0x1000u64, 5, 0x2000, 6].into_iter().flat_map(u64::to_le_bytes).collect();
    let payloads = vec![
        payload(1, PayloadKind::Iovecs, 0, &vector),
        payload(1, PayloadKind::Data, AT_EXIT, b"hello"),
        payload(1, PayloadKind::Data, AT_EXIT, b" worLd"),
    ];
    s.call(1, "readv", &[3, 4096, 2], 11, payloads);
    let (_root, report) = s.run();
    assert_eq!(report.divergences, 1, "{report:#?}");
    assert_eq!(report.shown[0].what, "byte 9 of the data");
}

#[test]
fn a_short_write_writes_what_it_wrote() {
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.call(1, "write", &[3, 4096, 10], 4, vec![payload(1, PayloadKind::Data, 0, b"0123456789")]);
    let (root, report) = s.run();
    assert_eq!(report.divergences, 0, "{report:#?}");
    assert_eq!(std::fs::read(root.path().join("f")).expect("the file"), b"0123");
}
