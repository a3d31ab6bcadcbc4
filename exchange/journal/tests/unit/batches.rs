//! One batch read from bytes alone.

use crate::{Fault, read_batch};

use super::*;

const IDENTITY: u32 = 7;

fn sealed(first_sequence: u64, records: &[&[u8]]) -> Vec<u8> {
    let mut batch = Batch::starting_at(first_sequence);
    for record in records {
        batch.push(record);
    }
    batch.seal(IDENTITY).to_vec()
}

#[test]
fn a_sealed_batch_gives_its_records() {
    let records: [&[u8]; 3] = [b"one", b"", b"three"];
    assert_eq!(read_batch(&sealed(5, &records), IDENTITY), Ok(records.to_vec()));
}

#[test]
fn other_bytes_are_no_batch() {
    let sound = sealed(5, &[b"one", b"two"]);
    assert_eq!(read_batch(&sound, IDENTITY + 1), Err(Fault::BatchHeader));
    assert_eq!(read_batch(&[&sound[..], &[0]].concat(), IDENTITY), Err(Fault::BytesAfterEnd));
    for length in 0..sound.len() {
        let fault = read_batch(&sound[..length], IDENTITY).unwrap_err();
        assert!(matches!(fault, Fault::BatchHeader | Fault::BatchCutShort { first_sequence: 5 }), "{fault}");
    }
    for position in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[position] ^= 1;
        assert!(read_batch(&bytes, IDENTITY).is_err(), "byte {position}");
    }
}

#[test]
fn lengths_that_do_not_add_up_are_refused() {
    let payload = [9, 0, 0, 0, 1, 2, 3, 4];
    let header =
        BatchHeader { payload_bytes: 8, records: 1, first_sequence: 5, payload_checksum: crc32c::crc32c(&payload) };
    let bytes = [&header.encode(IDENTITY)[..], &payload].concat();
    assert_eq!(read_batch(&bytes, IDENTITY), Err(Fault::RecordLengths { first_sequence: 5 }));
}

#[test]
fn a_header_that_counts_past_the_last_sequence_is_none() {
    let header = BatchHeader { payload_bytes: 0, records: 1, first_sequence: u64::MAX, payload_checksum: 0 };
    assert_eq!(read_batch(&header.encode(IDENTITY), IDENTITY), Err(Fault::BatchHeader));
}
