//! Functions of a later exchange.

use super::*;

#[test]
fn settings_that_cannot_be_kept_are_not_read() {
    let check = |settings: v1::FunctionSettings, is_read: bool| {
        let read = FunctionSettings::try_from(settings.clone());
        assert_eq!(read.is_ok(), is_read, "{settings:?}");
        if let Ok(read) = read {
            assert_eq!(v1::FunctionSettings::from(read), settings, "written back as it was");
        }
    };
    let budget = |period| v1::Budget { period, amount: 5 };
    let audience = |kind| v1::Audience { kind, providers: Vec::new() };
    let settings = v1::FunctionSettings {
        audience: Some(audience(Kind::Any.into())),
        budgets: vec![budget(v1::Period::Day.into())],
        ..v1::FunctionSettings::default()
    };
    check(settings.clone(), true);
    check(v1::FunctionSettings { budgets: vec![budget(99)], ..settings.clone() }, false);
    check(v1::FunctionSettings { audience: Some(audience(99)), ..settings }, false);
}
