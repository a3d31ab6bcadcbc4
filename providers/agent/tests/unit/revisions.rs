//! The wait of a call for its module, and the meaning of a load that failed.

use super::*;

#[test]
fn calls_wait_only_in_the_first_seconds_of_a_load() {
    let seconds = Duration::from_secs;
    assert_eq!(wait_limit(seconds(1), None), seconds(1));
    assert_eq!(wait_limit(seconds(60), None), WAIT_MAX);
    assert_eq!(wait_limit(seconds(60), Some(seconds(2))), seconds(3));
    assert_eq!(wait_limit(seconds(60), Some(seconds(7))), Duration::ZERO);
}

#[test]
fn only_the_modules_own_faults_refuse_it() {
    let refused = |error| Refused::from(RevisionError::Module(error));
    for of_host in [ModuleError::Host("no descriptors".to_owned()), ModuleError::OtherDigest] {
        assert!(matches!(refused(of_host.clone()), Refused::ModuleUnavailable), "{of_host}");
    }
    assert!(matches!(refused(ModuleError::NoStart), Refused::ModuleUnusable(_)));
    assert!(matches!(refused(ModuleError::QueueFull), Refused::Warming { .. }));
}
