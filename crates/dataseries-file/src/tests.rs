//! Each way of packing, against what other libraries write.

use crate::types::Type;
use crate::unpack::{Order, decompress, restore_nulls, to_little_endian, undo_packing};
use std::io::Write;

/// All ways to compress, each as its library writes it.
#[test]
fn all_compressions() {
    let plain: Vec<u8> = (0..20_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(&plain).unwrap();
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    bzip.write_all(&plain).unwrap();
    let lz4 = lz4_flex::block::compress(&plain);
    let packed = [
        plain.clone(),
        lzokay_native::compress(&plain).unwrap(),
        zlib.finish().unwrap(),
        bzip.finish().unwrap(),
        lzf::compress(&plain).unwrap(),
        snap::raw::Encoder::new().compress_vec(&plain).unwrap(),
        lz4.clone(),
        lz4,
    ];
    for (mode, packed) in packed.iter().enumerate() {
        assert_eq!(decompress(mode as u8, packed, plain.len(), false).unwrap(), plain, "{mode}");
        assert!(decompress(mode as u8, packed, plain.len() + 1, false).is_err(), "{mode}: longer");
        assert!(decompress(mode as u8, packed, plain.len() - 1, false).is_err(), "{mode}: shorter");
    }
    assert!(decompress(8, &plain, plain.len(), false).is_err());
}

/// Scales, differences and nulls that were left out come back; and so do numbers of the other byte
/// order.
#[test]
fn packing_is_undone() {
    let xml = r#"<ExtentType name="a" pack_null_compact="non_bool"><field type="int32" name="i" opt_nullable="yes" pack_relative="i"/>
        <field type="int64" name="base"/><field type="int64" name="l" pack_relative="base"/><field type="double" name="d" pack_scale="0.5"/></ExtentType>"#;
    let record_type = Type::parse(xml).unwrap();
    // A byte of bits, padding, the 32-bit field, three of 64 bits.
    assert_eq!(
        (
            record_type.bool_bytes,
            record_type.record_bytes,
            record_type.fields[0].offset,
            record_type.fields[1].offset
        ),
        (1, 32, 4, 8)
    );
    let long = |v: i64| v.to_le_bytes().to_vec();
    let record = |null: u8, i: Option<i32>, at: usize| {
        let mut bytes = vec![null];
        let align = |bytes: &mut Vec<u8>, n: usize| {
            bytes.resize((at + bytes.len()).next_multiple_of(n) - at, 0);
        };
        if let Some(i) = i {
            align(&mut bytes, 4);
            bytes.extend_from_slice(&i.to_le_bytes());
        }
        align(&mut bytes, 8);
        [bytes, long(100), long(5), 6.0f64.to_le_bytes().to_vec()].concat()
    };
    let mut packed = record(0, Some(10), 0);
    for (null, i) in [(1, None), (0, Some(3))] {
        let next = record(null, i, packed.len());
        packed.extend(next);
    }
    let mut fixed = restore_nulls(&record_type, 3, &packed).unwrap();
    assert!(
        restore_nulls(&record_type, 3, &packed[..packed.len() - 1]).is_err()
            && restore_nulls(&record_type, 2, &packed).is_err()
    );
    undo_packing(&record_type, &mut fixed);
    let int = |r: usize| i32::from_le_bytes(fixed[r * 32 + 4..][..4].try_into().unwrap());
    let word =
        |r: usize, at: usize| i64::from_le_bytes(fixed[r * 32 + at..][..8].try_into().unwrap());
    assert_eq!([int(0), int(1), int(2)], [10, 0, 13]);
    assert_eq!(
        (word(2, 8), word(2, 16), f64::from_bits(word(2, 24).cast_unsigned())),
        (100, 105, 3.0)
    );
    let mut swapped = fixed.clone();
    to_little_endian(&record_type, &mut swapped, Order { swapped: true });
    assert_eq!(swapped[4..8], 10i32.to_be_bytes());
    assert_eq!(swapped[8..16], 100i64.to_be_bytes());
}
