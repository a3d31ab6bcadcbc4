//! The reports of providers on modules: bounded, and gone with their session.

use super::*;

const PROVIDER: ProviderId = ProviderId::new(7);

fn module(number: usize) -> Digest {
    std::array::from_fn(|byte| (number >> (8 * (byte % 4))) as u8)
}

#[test]
fn a_session_is_remembered_until_it_ends() {
    let readiness = Readiness::default();
    let _first = readiness.begin(PROVIDER, 1);
    readiness.note(PROVIDER, 1, module(1), ModuleReport::Ready);
    assert_eq!(readiness.of(PROVIDER, &module(1)), Some(ModuleReport::Ready));
    assert_eq!(readiness.reporting(&module(1)), [PROVIDER]);
    let _second = readiness.begin(PROVIDER, 2);
    readiness.note(PROVIDER, 1, module(1), ModuleReport::Ready);
    readiness.end(PROVIDER, 1);
    assert_eq!(readiness.of(PROVIDER, &module(1)), None, "the former session speaks no more");
    let _late = readiness.begin(PROVIDER, 1);
    readiness.note(PROVIDER, 2, module(1), ModuleReport::Ready);
    assert_eq!(readiness.reporting(&module(1)), [PROVIDER], "a former one that comes late takes no place");
    readiness.end(PROVIDER, 2);
    assert_eq!(readiness.reporting(&module(1)), []);
}

#[test]
fn the_oldest_report_is_forgotten() {
    let readiness = Readiness::default();
    let _requests = readiness.begin(PROVIDER, 1);
    (0..=MODULES_MAX).for_each(|number| readiness.note(PROVIDER, 1, module(number), ModuleReport::Ready));
    assert_eq!(readiness.of(PROVIDER, &module(0)), None);
    assert_eq!(readiness.of(PROVIDER, &module(1)), Some(ModuleReport::Ready));
}

#[test]
fn a_provider_is_not_asked_again_at_once() {
    let readiness = Readiness::default();
    let mut requests = readiness.begin(PROVIDER, 1);
    let mut asked = |readiness: &Readiness, number| {
        readiness.request(PROVIDER, module(number), WarmModule::default());
        requests.try_recv().is_ok()
    };
    assert_eq!([asked(&readiness, 1), asked(&readiness, 1), asked(&readiness, 2)], [true, false, true]);
    let later = Instant::now() + Duration::from_secs(40);
    readiness.note(PROVIDER, 1, module(3), ModuleReport::Warming(later));
    readiness.note(PROVIDER, 1, module(4), ModuleReport::Refused(String::new()));
    readiness.note(PROVIDER, 1, module(5), ModuleReport::Ready);
    assert_eq!([3, 4, 5].map(|number| asked(&readiness, number)), [false, false, true]);
}

#[test]
fn the_request_queue_is_bounded() {
    let readiness = Readiness::default();
    let mut requests = readiness.begin(PROVIDER, 1);
    (0..2 * REQUESTS_MAX).for_each(|number| readiness.request(PROVIDER, module(number), WarmModule::default()));
    assert_eq!(std::iter::from_fn(|| requests.try_recv().ok()).count(), REQUESTS_MAX);
}

#[test]
fn a_reason_is_cut_at_one_kilobyte() {
    let mut state = ModuleState { reason: "\u{e4}".repeat(2_000), ..ModuleState::default() };
    state.set_readiness(ModuleReadiness::Refused);
    let Some(ModuleReport::Refused(reason)) = ModuleReport::read(&state) else { panic!() };
    assert_eq!((reason.len(), reason.capacity()), (REASON_MAX_BYTES, REASON_MAX_BYTES));
}
