//! The archive against a naive computation from the same events, and against crashes, damage and foreign files.

mod crash;
mod keeping;
mod naive;
mod retention;

use std::collections::BTreeMap;
use std::path::Path;

use merit_engine::Engine;
use redb::{Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::store::Store;
use crate::sequencer::Happened;

/// Opens a store, and begins it as the keeper does on a journal from its beginning.
fn opened(file: &Path) -> Store {
    let mut store = Store::open(file).unwrap();
    store.begin(&Engine::new());
    store
}

/// Makes a store of these events, with commits here and there.
fn stored(file: &Path, happened: &[Happened]) -> Store {
    let mut store = opened(file);
    for (i, one) in happened.iter().enumerate() {
        store.apply(one);
        if i % 97 == 0 {
            let durability = if i % 2 == 0 { Durability::None } else { Durability::Immediate };
            store.commit(durability).unwrap();
        }
    }
    store.commit(Durability::Immediate).unwrap();
    store
}

/// Reads every row of every table, as text.
fn dump(store: &Store) -> BTreeMap<String, String> {
    type LogKey = (u32, u64, u32);
    let transaction = store.database().begin_read().unwrap();
    let mut rows = BTreeMap::new();
    macro_rules! dump {
        ($($table:literal: $key:ty => $value:ty,)*) => {$(
            let table = transaction.open_table(TableDefinition::<$key, $value>::new($table)).unwrap();
            for row in table.iter().unwrap() {
                let (key, value) = row.unwrap();
                rows.insert(format!("{} {:?}", $table, key.value()), format!("{:?}", value.value()));
            }
        )*};
    }
    dump! {
        "checkpoints": &str => (u32, u64, u64),
        "trades": LogKey => (u64, &[u8]),
        "trades_lengths": u32 => u64,
        "private_trades": LogKey => (u64, &[u8]),
        "private_trades_lengths": u32 => u64,
        "candles": (u8, u32, u64) => &[u8],
        "lines": LogKey => (u64, &[u8]),
        "lines_lengths": u32 => u64,
        "balances": u32 => i128,
        "invocations": (u32, u64) => &[u8],
        "later_leases": (u32, u64) => (u32, u64),
        "invocations_of": LogKey => (u64, &[u8]),
        "invocations_of_lengths": u32 => u64,
        "logs": LogKey => (u64, &[u8]),
        "logs_lengths": u32 => u64,
    }
    assert_eq!(transaction.list_tables().unwrap().count(), 15, "a table is not dumped");
    rows
}

/// Computes the rows of an archive of these events.
fn expected(happened: &[Happened]) -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    dump(&stored(&dir.path().join("archive"), happened))
}
