//! The words of providers on modules: bounded, and gone with their session.

use super::*;

fn refused(reason: &str) -> ModuleState {
    let mut state = ModuleState { reason: reason.to_owned(), ..ModuleState::default() };
    state.set_readiness(ModuleReadiness::Refused);
    state
}

#[test]
fn a_session_is_remembered_until_it_ends() {
    let (readiness, id) = (Readiness::default(), ProviderId::new(7));
    let _first = readiness.begin(id, 1);
    readiness.note(id, 1, [1; 32], ModuleWord::Ready);
    assert_eq!(readiness.of(id, &[1; 32]), Some(ModuleWord::Ready));
    let _second = readiness.begin(id, 2);
    readiness.note(id, 1, [1; 32], ModuleWord::Ready);
    readiness.end(id, 1);
    assert_eq!(readiness.of(id, &[1; 32]), None, "the former session speaks no more");
    readiness.note(id, 2, [1; 32], ModuleWord::Ready);
    readiness.end(id, 2);
    assert_eq!(readiness.of(id, &[1; 32]), None);
}

#[test]
fn words_and_orders_have_bounds() {
    let (readiness, id) = (Readiness::default(), ProviderId::new(7));
    let mut orders = readiness.begin(id, 1);
    let module = |number: usize| -> Digest { std::array::from_fn(|byte| (number >> (8 * (byte % 4))) as u8) };
    (0..=MODULES_MAX).for_each(|number| readiness.note(id, 1, module(number), ModuleWord::Ready));
    assert_eq!((readiness.of(id, &module(0)), readiness.of(id, &module(1))), (None, Some(ModuleWord::Ready)));
    (0..2 * ORDERS_MAX).for_each(|_| readiness.order(id, WarmModule::default()));
    assert_eq!(std::iter::from_fn(|| orders.try_recv().ok()).count(), ORDERS_MAX);
    let Some(ModuleWord::Refused(reason)) = ModuleWord::read(refused(&"\u{e4}".repeat(2_000))) else { panic!() };
    assert_eq!(reason.len(), REASON_MAX_BYTES);
}
