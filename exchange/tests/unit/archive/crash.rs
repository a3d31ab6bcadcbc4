//! A process that dies between one commit and the next: its file goes on from its checkpoint.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use redb::Durability;

use super::super::store::Store;
use super::{dump, expected, opened};
use crate::world::World;

#[test]
fn the_file_of_a_killed_process_grows_the_same_rows() {
    for seed in 0..12 {
        let mut chance = Pcg32::seed_from_u64(seed);
        let mut world = World::new(40 + seed);
        let happened = world.run(1_500);
        let whole = expected(&happened);
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().join("0");
        let mut store = opened(&path);
        let (mut next, mut kills, mut durable) = (0, 0, 0);
        while next < happened.len() {
            match chance.random_range(0..100) {
                0..4 => store.commit(Durability::None).unwrap(),
                4..6 => {
                    store.commit(Durability::Immediate).unwrap();
                    durable = store.applied().sequence;
                }
                6 => store.retain(Durability::None).unwrap(),
                7 => {
                    // The kernel has what was written; nobody closes the file.
                    kills += 1;
                    path = dir.path().join(format!("{kills}"));
                    std::fs::copy(dir.path().join(format!("{}", kills - 1)), &path).unwrap();
                    store = opened(&path);
                    let applied = store.applied();
                    assert_eq!(applied, store.furthest());
                    assert!(applied.sequence >= durable, "seed {seed}: a durable commit is gone");
                    next = happened.partition_point(|one| one.sequence <= applied.sequence);
                }
                _ => {
                    let one = &happened[next];
                    store.apply(one);
                    next += 1;
                }
            }
        }
        assert!(kills > 2, "seed {seed} killed little");
        store.commit(Durability::Immediate).unwrap();
        assert!(dump(&store) == whole, "seed {seed}");
        drop(store);
        assert!(dump(&Store::open(&path).unwrap()) == whole, "seed {seed}, opened again");
    }
}

#[test]
fn a_projection_of_another_version_is_made_anew_alone() {
    let mut world = World::new(60);
    let happened = world.run(1_500);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    let whole = dump(&super::stored(&path, &happened));
    let checkpoints = redb::TableDefinition::<&str, (u32, u64, u64)>::new("checkpoints");
    for name in ["tape", "candles", "statements", "invocations"] {
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut table = transaction.open_table(checkpoints).unwrap();
        table.insert(name, (0, 7, 7)).unwrap();
        drop(table);
        transaction.commit().unwrap();
        drop(database);

        let mut store = opened(&path);
        assert_eq!((store.applied().sequence, store.furthest().sequence), (0, world.engine.sequence()));
        for one in &happened {
            store.apply(one);
        }
        store.commit(Durability::Immediate).unwrap();
        assert!(dump(&store) == whole, "{name}");
    }
}
