//! The order of turns by cases.

use futures_util::FutureExt;

use super::*;

async fn wait(turns: &Turns, account: &str, bytes: usize) -> Result<Turn, QueueFull> {
    turns.reserve(account)?.wait(bytes).await
}

fn begins(waiting: impl Future<Output = Result<Turn, QueueFull>>) -> Option<Turn> {
    waiting.now_or_never().map(Result::unwrap)
}

#[test]
fn one_account_has_half_of_the_turns() {
    let turns = Turns::new(2);
    let first = begins(wait(&turns, "one", 10)).unwrap();
    assert!(begins(wait(&turns, "one", 1)).is_none());
    let other = begins(wait(&turns, "two", 1_000)).unwrap();
    assert!(begins(wait(&turns, "three", 1)).is_none(), "both are taken");
    drop((first, other));
    assert!(begins(wait(&turns, "one", 1)).is_some());
}

#[tokio::test]
async fn accounts_with_fewer_turns_come_first_then_small_modules() {
    let turns = Turns::new(4);
    let held: Vec<Turn> = (0..2).map(|_| begins(wait(&turns, "many", 1)).unwrap()).collect();
    let others: Vec<Turn> = ["a", "b"].map(|account| begins(wait(&turns, account, 1)).unwrap()).into();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for (account, bytes) in [("a", 1), ("new", 900), ("new", 5), ("other", 7)] {
        let (turns, order) = (turns.clone(), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let turn = wait(&turns, account, bytes).await.unwrap();
            order.lock().unwrap().push((account, bytes));
            tokio::task::yield_now().await;
            drop(turn);
        }));
        tokio::task::yield_now().await;
    }
    drop(held.into_iter().next());
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(order.lock().unwrap()[..2], [("new", 5), ("other", 7)]);
    drop(others);
}

#[tokio::test]
async fn many_small_modules_do_not_hold_up_anothers_large_one() {
    let turns = Turns::new(1);
    let mut bombs: Vec<_> = ["bad", "worse"].iter().map(|account| Box::pin(wait(&turns, account, 1))).collect();
    let running = bombs.iter_mut().find_map(|bomb| bomb.now_or_never()).unwrap();
    let mut good = Box::pin(wait(&turns, "good", 1_000_000));
    assert!(bombs[1].as_mut().now_or_never().is_none() && good.as_mut().now_or_never().is_none());
    let mut again = Box::pin(wait(&turns, "bad", 1));
    assert!(again.as_mut().now_or_never().is_none());
    drop(running);
    drop(begins(bombs.swap_remove(1)).unwrap());
    drop(begins(good).expect("before the second module of who had a turn"));
    assert!(begins(again).is_some());
}

#[test]
fn accounts_that_are_remembered_are_bounded() {
    let turns = Turns::new(1);
    for account in 0..3 * REMEMBERED_MAX {
        drop(begins(wait(&turns, &account.to_string(), 1)).unwrap());
    }
    assert!(turns.lock().last_turns.len() <= REMEMBERED_MAX);
}

#[test]
fn a_caller_that_left_takes_no_turn() {
    let turns = Turns::new(1);
    let held = begins(wait(&turns, "one", 1)).unwrap();
    assert!(begins(wait(&turns, "two", 1)).is_none(), "its future is dropped");
    drop(held);
    assert!(begins(wait(&turns, "three", 1)).is_some());
}

#[test]
fn places_are_bounded_from_before_a_module_is_fetched() {
    let turns = Turns::new(1);
    let held = begins(wait(&turns, "one", 1)).unwrap();
    let mut reserved: Vec<Reservation> = (0..RESERVED_OF_ONE_MAX).map(|_| turns.reserve("one").unwrap()).collect();
    assert!(turns.reserve("one").is_err(), "of one account");
    for number in 0..RESERVED_MAX - RESERVED_OF_ONE_MAX {
        reserved.push(turns.reserve(&format!("other {}", number / RESERVED_OF_ONE_MAX)).unwrap());
    }
    assert!(turns.reserve("two").is_err(), "of all");
    let mut waiting = Box::pin(reserved.pop().unwrap().wait(1));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(turns.reserve("two").is_err(), "one that waits keeps it");
    drop(held);
    let _turn = begins(waiting).unwrap();
    assert!(turns.reserve("two").is_ok(), "one whose turn began has left");
    reserved.pop();
    assert!(turns.reserve("two").is_ok(), "one that was given up has left");
}
