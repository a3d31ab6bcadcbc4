//! Tests of the states of a market, as they are typed.

use super::*;

#[test]
fn a_state_is_named_as_the_market_names_it() {
    for state in State::value_variants() {
        assert_eq!(state.to_possible_value().unwrap().get_name(), state.as_str());
    }
}
