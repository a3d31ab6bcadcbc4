//! Every hostile module but one passes the check at upload, so that the attack reaches the hosts.

use super::*;

#[test]
fn hostile_modules_pass_the_check_at_upload() {
    let passing = [endless(), endless_start(), trap_at_start(), memory(), output(), random(), compile_bomb(), large()];
    for (number, module) in passing.iter().enumerate() {
        assert_eq!(merit_module::check(&salted(module, "a-1")), Ok(()), "module {number}");
    }
    assert!(merit_module::check(&unrunnable()).is_err());
}
