//! Keys: made, rotated, revoked, and bounded.

use merit_engine::{Command, Event, Key, OUTSIDE, Reply};
use merit_kit::Floor;
use merit_terms::{AccountId, KeyId, Refusal, Role, Time};

fn create(floor: &mut Floor, account: AccountId, expires: Option<Time>) -> Result<KeyId, Refusal> {
    match floor.apply(Command::CreateKey { role: Role::Client, account, expires })? {
        Reply::Key(key) => Ok(key),
        other => panic!("{other:?}"),
    }
}

fn made(floor: &mut Floor) -> KeyId {
    let buyer = floor.buyer;
    create(floor, buyer, None).unwrap()
}

fn known(floor: &Floor, id: KeyId) -> Key {
    floor.engine.key(id).unwrap().clone()
}

fn wrong(refused: Result<impl std::fmt::Debug, Refusal>) -> String {
    match refused {
        Err(Refusal::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_named_by_the_sequence_that_made_it() {
    let mut floor = Floor::new();
    let id = made(&mut floor);
    assert_eq!(id, KeyId(floor.engine.sequence()));
    assert_eq!(floor.events, [Event::KeyChanged { key: id }]);
    let key = known(&floor, id);
    assert_eq!((key.role, key.account, key.version, key.created_at), (Role::Client, floor.buyer, 1, floor.now));
    assert!(key.is_live(floor.now) && key.previous_version(floor.now).is_none());
}

#[test]
fn a_key_needs_a_users_account_and_a_future_end() {
    let mut floor = Floor::new();
    let (buyer, now) = (floor.buyer, floor.now);
    assert_eq!(wrong(create(&mut floor, OUTSIDE, None)), "account");
    assert_eq!(wrong(create(&mut floor, buyer, Some(now))), "expires");
    let unknown = create(&mut floor, AccountId::new(99), None);
    assert!(matches!(unknown, Err(Refusal::Unknown { what: "account", .. })));
    let id = create(&mut floor, buyer, Some(now.after_millis(1))).unwrap();
    assert!(known(&floor, id).is_live(now));
    assert!(!known(&floor, id).is_live(now.after_millis(1)));
}

#[test]
fn a_rotation_keeps_the_previous_version_as_long_as_asked() {
    let mut floor = Floor::new();
    let (id, now) = (made(&mut floor), floor.now);
    let until = now.after_millis(1_000);
    let rotated = floor.apply(Command::RotateKey { key: id, previous_until: Some(until) });
    assert_eq!(rotated, Ok(Reply::Key(id)));
    let key = known(&floor, id);
    assert_eq!((key.version, key.previous_version(now), key.previous_version(until)), (2, Some(1), None));
    floor.apply(Command::RotateKey { key: id, previous_until: None }).unwrap();
    assert_eq!((known(&floor, id).version, known(&floor, id).previous_version(now)), (3, None));
}

#[test]
fn dead_unknown_or_overlong_keys_are_not_rotated() {
    let mut floor = Floor::new();
    let (id, now, buyer) = (made(&mut floor), floor.now, floor.buyer);
    let rotate = |floor: &mut Floor, key, previous_until| floor.apply(Command::RotateKey { key, previous_until });
    assert_eq!(wrong(rotate(&mut floor, id, Some(now))), "previous_until");
    assert_eq!(wrong(rotate(&mut floor, id, Some(now.after_millis(31 * 86_400_000 + 1)))), "previous_until");
    rotate(&mut floor, id, Some(now.after_millis(31 * 86_400_000))).unwrap();
    let unknown = Refusal::Unknown { what: "key", name: "key-7777".to_owned() };
    assert_eq!(rotate(&mut floor, KeyId(7777), None), Err(unknown.clone()));
    assert_eq!(floor.apply(Command::RevokeKey { key: KeyId(7777) }), Err(unknown));
    floor.apply(Command::RevokeKey { key: id }).unwrap();
    assert_eq!(wrong(rotate(&mut floor, id, None)), "key");
    let brief = create(&mut floor, buyer, Some(now.after_millis(5))).unwrap();
    floor.wait_ms(5);
    assert_eq!(wrong(rotate(&mut floor, brief, None)), "key");
}

#[test]
fn a_revoked_key_is_dead_with_its_version_before() {
    let mut floor = Floor::new();
    let (id, now) = (made(&mut floor), floor.now);
    floor.apply(Command::RotateKey { key: id, previous_until: Some(now.after_millis(9)) }).unwrap();
    floor.apply(Command::RevokeKey { key: id }).unwrap();
    let key = known(&floor, id);
    assert!(!key.is_live(now) && key.previous_version(now).is_none());
    assert_eq!(floor.apply(Command::RevokeKey { key: id }), Ok(Reply::Done));
}

#[test]
fn an_account_has_1000_live_and_1000_remembered_dead_keys() {
    let mut floor = Floor::new();
    let buyer = floor.buyer;
    let (other, _) = floor.tenant("other");
    let mut ids: Vec<KeyId> = (0..1_000).map(|_| made(&mut floor)).collect();
    let full = Refusal::OverLimit { limit: "live keys of an account", most: 1_000 };
    assert_eq!(create(&mut floor, buyer, None), Err(full));
    create(&mut floor, other, None).unwrap();
    for turn in 0..1_002 {
        floor.apply(Command::RevokeKey { key: ids[turn] }).unwrap();
        ids.push(made(&mut floor));
    }
    assert_eq!(floor.engine.keys_of(buyer).count(), 2_000);
    assert!(floor.engine.key(ids[1]).is_none() && floor.engine.key(ids[2]).is_some());
}
