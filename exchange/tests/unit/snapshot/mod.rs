//! Tests of snapshots against real files: written ones are read, a changed byte is found, and one is made beside a
//! journal that is being written.

use std::fs;
use std::os::unix::fs::FileExt;

use merit_engine::{Command, Engine};
use merit_journal::storage::Directory;

use super::format::{CHUNK_BYTES, HEADER_BYTES, snapshot_name};
use super::*;
use crate::recorded::Market;
use crate::replay;
use crate::world::World;

/// Writes a state as a snapshot. Returns the bytes of its file.
fn bytes_of(engine: &Engine) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    write(&Directory::existing(directory.path()), 7, engine).unwrap();
    fs::read(directory.path().join(snapshot_name(engine.sequence()))).unwrap()
}

/// Saves a state and loads it again.
fn reloaded(engine: &Engine) -> Engine {
    let directory = tempfile::tempdir().unwrap();
    let storage = Directory::existing(directory.path());
    write(&storage, 7, engine).unwrap();
    load(&storage, engine.sequence()).unwrap().engine
}

#[test]
fn a_state_gives_equal_bytes_live_replayed_and_reloaded() {
    for seed in 0..4 {
        let mut world = World::new(seed);
        world.run(2_500);
        let live = bytes_of(&world.engine);
        for reload_every in [u64::MAX, 997, 100, 7] {
            let mut engine = Engine::new();
            for (sequence, record) in (1..).zip(&world.records) {
                replay::step(&mut engine, sequence, record, &mut Vec::new()).unwrap();
                if sequence % reload_every == 0 {
                    engine = reloaded(&engine);
                }
            }
            assert_eq!(engine.digest(), world.engine.digest());
            assert!(bytes_of(&engine) == live, "seed {seed}, reloaded every {reload_every} commands");
            assert!(bytes_of(&reloaded(&engine)) == live, "seed {seed}, reloaded at the end");
        }
    }
}

#[test]
fn equal_states_of_different_histories_give_equal_bytes() {
    let after = |first: u32| {
        let mut market = Market::with(120);
        for basis_points in [first, 250] {
            market.apply(Command::SetFee { basis_points });
        }
        market.engine
    };
    let (one, other) = (after(10), after(99));
    assert_eq!(one.digest(), other.digest());
    assert!(bytes_of(&one) == bytes_of(&other));
}

#[test]
fn what_is_written_is_loaded_with_the_same_digest() {
    for commands in [1, 2, 50, 400] {
        let market = Market::with(commands);
        let header = write(&market.storage(), 7, &market.engine).unwrap();
        assert_eq!((header.identity, header.sequence, header.run), (7, commands, 1));
        let loaded = load(&market.storage(), commands).unwrap();
        assert_eq!((loaded.header, loaded.engine.digest()), (header, market.engine.digest()));
        assert_eq!(read::header(&market.storage(), commands).unwrap(), header);
    }
}

#[test]
fn every_flipped_bit_and_other_length_is_located() {
    let market = Market::with(250);
    write(&market.storage(), 7, &market.engine).unwrap();
    let path = market.path(250);
    let sound = fs::read(&path).unwrap();
    assert!(sound.len() > HEADER_BYTES + 2 * CHUNK_BYTES, "{}", sound.len());
    let file = fs::File::options().write(true).open(&path).unwrap();
    for position in 0..sound.len() {
        file.write_all_at(&[sound[position] ^ 1 << (position % 8)], position as u64).unwrap();
        let begins_at = match position.checked_sub(HEADER_BYTES) {
            None => 0,
            Some(in_body) => HEADER_BYTES + in_body / (CHUNK_BYTES + 4) * (CHUNK_BYTES + 4),
        };
        let damage = market.damage(250);
        assert_eq!((damage.position, damage.file), (begins_at as u64, snapshot_name(250)), "byte {position}");
        file.write_all_at(&sound[position..=position], position as u64).unwrap();
    }
    for length in (0..sound.len()).rev() {
        file.set_len(length as u64).unwrap();
        market.damage(250);
    }
    fs::write(&path, [&sound[..], &[0]].concat()).unwrap();
    assert_eq!(market.damage(250).fault, Fault::Length { expected: sound.len() as u64 });
    fs::write(&path, sound).unwrap();
    assert!(load(&market.storage(), 250).is_ok());
}

#[test]
fn chunks_in_another_place_or_of_another_snapshot_are_found() {
    let mut market = Market::with(400);
    write(&market.storage(), 7, &market.engine).unwrap();
    let bytes = fs::read(market.path(400)).unwrap();
    let chunk = |index: usize| HEADER_BYTES + index * (CHUNK_BYTES + 4)..HEADER_BYTES + (index + 1) * (CHUNK_BYTES + 4);
    let mut swapped = bytes.clone();
    swapped[chunk(0)].copy_from_slice(&bytes[chunk(1)]);
    fs::write(market.path(400), swapped).unwrap();
    assert_eq!(market.damage(400).fault, Fault::Chunk);

    market.apply(Command::SetFee { basis_points: 1 });
    write(&market.storage(), 7, &market.engine).unwrap();
    let mut mixed = fs::read(market.path(401)).unwrap();
    mixed[chunk(0)].copy_from_slice(&bytes[chunk(0)]);
    fs::write(market.path(401), mixed).unwrap();
    assert_eq!((market.damage(401).fault, market.damage(401).position), (Fault::Chunk, HEADER_BYTES as u64));
}

#[test]
fn a_snapshot_under_another_name_is_not_used() {
    let market = Market::with(5);
    write(&market.storage(), 7, &market.engine).unwrap();
    fs::rename(market.path(5), market.path(6)).unwrap();
    assert_eq!(market.damage(6).fault, Fault::Misnamed { found: 5 });
}

#[test]
fn another_format_version_is_refused_with_the_way_out() {
    let market = Market::with(5);
    write(&market.storage(), 7, &market.engine).unwrap();
    for (found, way_out) in [(1, "from before the first release"), (9, "start the merit release that wrote it")] {
        let mut bytes = fs::read(market.path(5)).unwrap();
        bytes[8] = found;
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        fs::write(market.path(5), bytes).unwrap();
        let error = load(&market.storage(), 5).unwrap_err().to_string();
        assert!(error.contains(&format!("has format {found}, and")) && error.contains(way_out), "{error}");
    }
}

#[test]
fn snapshots_made_beside_a_journal_equal_the_state_there() {
    let market = Market::with(300);
    for upto in [1, 2, 100, 100, 299, 300] {
        let made = market.make(upto).unwrap();
        let loaded = load(&market.storage(), upto).unwrap();
        assert_eq!(loaded.engine.digest(), market.digests[upto as usize]);
        assert_eq!(loaded.header.identity, market.journal.identity());
        assert_eq!(made.is_none(), market.make(upto).unwrap().is_none() && made.is_none());
    }
    assert!(market.make(300).unwrap().is_none(), "there is one already");
    assert!(matches!(market.make(301), Err(MakeError::Short { found: 300, wanted: 301 })));
}

#[test]
fn making_goes_on_past_a_damaged_snapshot() {
    let market = Market::with(300);
    market.make(100).unwrap();
    market.make(200).unwrap();
    let mut bytes = fs::read(market.path(200)).unwrap();
    bytes[100] ^= 1;
    fs::write(market.path(200), bytes).unwrap();
    market.make(250).unwrap();
    assert_eq!(list(&market.storage()).unwrap(), [100, 250]);
    assert!(market.path(200).with_extension("merit.damaged").exists());
    assert_eq!(load(&market.storage(), 250).unwrap().engine.digest(), market.digests[250]);
}

#[test]
fn an_unfinished_snapshot_is_removed() {
    let market = Market::with(20);
    let unfinished = market.path(10).with_extension("merit.new");
    fs::write(&unfinished, b"half of it").unwrap();
    assert!(list(&market.storage()).unwrap().is_empty());
    market.make(15).unwrap();
    assert!(!unfinished.exists());
}

#[test]
fn a_made_snapshot_gives_up_when_told() {
    let market = Market::with(20);
    let stopped = make(&market.storage(), market.journal.identity(), 20, || true);
    assert!(matches!(stopped, Err(MakeError::Stopped)));
    assert!(list(&market.storage()).unwrap().is_empty());
}

#[test]
fn kept_files_give_the_state_of_every_kept_command() {
    let market = Market::with(2000);
    for upto in (50..2000).step_by(50) {
        market.make(upto).unwrap();
        keep(&market.storage(), u64::MAX).unwrap();
        let first = merit_journal::segments(&market.storage()).unwrap()[0].first_sequence;
        let kept = list(&market.storage()).unwrap();
        assert!(first == 1 || kept[0] + 1 >= first, "{kept:?} from {first}");
        assert_eq!(kept.last(), Some(&upto));
    }
    let segments = merit_journal::segments(&market.storage()).unwrap();
    let kept = list(&market.storage()).unwrap();
    assert!(segments[0].number > 1 && kept.len() <= segments.len() + 2, "{kept:?}");
    for sequence in kept[0]..=2000 {
        let replayed = crate::history::replay_to(market.directory.path(), sequence).unwrap();
        assert_eq!(replayed.engine.digest(), market.digests[sequence as usize], "{sequence}");
    }
    let error = crate::history::replay_to(market.directory.path(), kept[0] - 1).unwrap_err().to_string();
    assert!(error.contains("cannot be recomputed any more"), "{error}");
    let verified = crate::history::verify(market.directory.path(), |_, _, _| {}).unwrap();
    assert_eq!((verified.engine.digest(), verified.began_after), (market.digests[2000], Some(kept[0])));
    assert!(verified.snapshots.iter().all(|check| check.verdict == crate::history::Verdict::Sound));
}
