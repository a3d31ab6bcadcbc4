//! Tests of commands as text for people.

use super::*;

fn check(text: &str, expected: &str) {
    assert_eq!(unwrapped(text), expected);
}

#[test]
fn wrappers_go_and_texts_stay() {
    check("Deposit { account: AccountId(2), amount: Money(5) }", "Deposit { account: 2, amount: 5 }");
    check("Some(LeaseId { run: 1, sequence: 2 })", "LeaseId { run: 1, sequence: 2 }");
    check(r#"name: Name("Some(x) \" Money(1")"#, r#"name: "Some(x) \" Money(1""#);
    check("Acquire(Bid { limits: Listed([Name(\"a\")]) })", "Acquire(Bid { limits: Listed([\"a\"]) })");
    check("NotSome(1)", "NotSome(1)");
}

#[test]
fn a_command_is_its_fields() {
    assert_eq!(fields(&Command::Tick), "");
    assert_eq!(fields(&Command::SetFee { basis_points: 3 }), "basis_points: 3");
    let name = "dev".parse().unwrap();
    assert_eq!(fields(&Command::OpenAccount { name }), "name: \"dev\"");
}
