//! Arbitrary bytes in segments, also with valid checksums: every reading ends with a judgement.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{read_span, segments, trim};

const IDENTITY: u32 = 7;

fn a_sequence() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), 0..20_u64, Just(u64::MAX - 1), Just(u64::MAX), any::<u64>()]
}

/// A batch whose header and payload have valid checksums, and any fields and lengths otherwise.
fn a_batch() -> impl Strategy<Value = Vec<u8>> {
    let records = prop_oneof![0..4_u32, any::<u32>()];
    (a_sequence(), records, vec(any::<u8>(), 0..40), any::<bool>()).prop_map(
        |(first_sequence, records, payload, as_one)| {
            let payload = if as_one { [&(payload.len() as u32).to_le_bytes()[..], &payload].concat() } else { payload };
            let payload_bytes = payload.len() as u32;
            let payload_checksum = crc32c::crc32c(&payload);
            let header = BatchHeader { payload_bytes, records, first_sequence, payload_checksum };
            [&header.encode(IDENTITY)[..], &payload].concat()
        },
    )
}

fn a_segment() -> impl Strategy<Value = Vec<u8>> {
    let header = (a_sequence(), 1..4_u32, prop_oneof![Just(IDENTITY), any::<u32>()]).prop_map(
        |(first_sequence, number, identity)| SegmentHeader { identity, first_sequence, number }.encode().to_vec(),
    );
    let part =
        prop_oneof![4 => a_batch(), 1 => vec(any::<u8>(), 0..30), 1 => (0..60_usize).prop_map(|zeros| vec![0; zeros])];
    let whole = (header, vec(part, 0..5)).prop_map(|(header, parts)| [header, parts.concat()].concat());
    prop_oneof![8 => whole, 1 => vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_segments_never_panic(files in vec((1..4_u32, a_segment()), 1..4), after in a_sequence()) {
        let place = Place::new(SMALL);
        for (number, bytes) in &files {
            place.put(*number, bytes);
        }
        let report = place.verify();
        let storage = place.storage();
        read_span(&storage, after, u64::MAX, |_, _| Ok(())).unwrap();
        segments(&storage).unwrap();
        let opened = Journal::open(place.storage(), SMALL, |_, _| Ok(()));
        match (&opened, &report.damage) {
            (Err(OpenError::Damaged { damage, .. }), Some(found)) => prop_assert_eq!(damage, found),
            (Ok((_, recovery)), damage) => prop_assert_eq!(&recovery.cut, damage),
            (Err(error), damage) => prop_assert!(false, "{error}, {damage:?}"),
        }
        drop(opened);
        trim(&storage, after).unwrap();
    }
}
