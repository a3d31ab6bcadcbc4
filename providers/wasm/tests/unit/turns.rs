//! The order of turns by cases.

use futures_util::FutureExt;

use super::*;

fn begins(waiting: impl Future<Output = Result<Turn, QueueFull>>) -> Option<Turn> {
    waiting.now_or_never().map(Result::unwrap)
}

#[test]
fn one_account_has_half_of_the_turns() {
    let turns = Turns::new(2);
    let first = begins(turns.wait("one", 10)).unwrap();
    assert!(begins(turns.wait("one", 1)).is_none());
    let other = begins(turns.wait("two", 1_000)).unwrap();
    assert!(begins(turns.wait("three", 1)).is_none(), "both are taken");
    drop((first, other));
    assert!(begins(turns.wait("one", 1)).is_some());
}

#[tokio::test]
async fn accounts_with_fewer_turns_come_first_then_small_modules() {
    let turns = Turns::new(4);
    let held: Vec<Turn> = (0..2).map(|_| begins(turns.wait("many", 1)).unwrap()).collect();
    let others: Vec<Turn> = ["a", "b"].map(|account| begins(turns.wait(account, 1)).unwrap()).into();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for (account, bytes) in [("a", 1), ("new", 900), ("new", 5), ("other", 7)] {
        let (turns, order) = (turns.clone(), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let turn = turns.wait(account, bytes).await.unwrap();
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
    let mut bombs: Vec<_> = ["bad", "worse"].iter().map(|account| Box::pin(turns.wait(account, 1))).collect();
    let running = bombs.iter_mut().find_map(|bomb| bomb.now_or_never()).unwrap();
    let mut good = Box::pin(turns.wait("good", 1_000_000));
    assert!(bombs[1].as_mut().now_or_never().is_none() && good.as_mut().now_or_never().is_none());
    let mut again = Box::pin(turns.wait("bad", 1));
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
        drop(begins(turns.wait(&account.to_string(), 1)).unwrap());
    }
    assert!(turns.lock().last_turns.len() <= REMEMBERED_MAX);
}

#[test]
fn a_caller_that_left_takes_no_turn() {
    let turns = Turns::new(1);
    let held = begins(turns.wait("one", 1)).unwrap();
    assert!(begins(turns.wait("two", 1)).is_none(), "its future is dropped");
    drop(held);
    assert!(begins(turns.wait("three", 1)).is_some());
}

#[test]
fn those_that_wait_are_bounded() {
    let turns = Turns::new(1);
    let _held = begins(turns.wait("one", 1)).unwrap();
    let names: Vec<String> = (0..WAITING_MAX).map(|number| (number / WAITING_OF_ONE_MAX).to_string()).collect();
    let mut waiting: Vec<_> = names.iter().map(|name| Box::pin(turns.wait(name, 1))).collect();
    assert!(waiting.iter_mut().take(WAITING_OF_ONE_MAX).all(|one| one.now_or_never().is_none()));
    assert!(turns.wait("0", 1).now_or_never().unwrap().is_err(), "of one account");
    assert!(waiting.iter_mut().skip(WAITING_OF_ONE_MAX).all(|one| one.now_or_never().is_none()));
    assert!(turns.wait("two", 1).now_or_never().unwrap().is_err(), "of all");
    waiting.pop();
    assert!(turns.wait("two", 1).now_or_never().is_none(), "one that left makes room");
}
