//! The order of labels.

use super::*;

#[test]
fn an_outcome_and_a_door_are_found_by_their_place() {
    assert!(EXECUTED.into_iter().enumerate().all(|(index, outcome)| outcome as usize == index));
    assert!(Door::ALL.into_iter().enumerate().all(|(index, door)| door as usize == index));
}
