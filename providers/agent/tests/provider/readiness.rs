//! Modules made ready on the exchange's order, and the words that tell it.

use merit_proto::v1::{ModuleReadiness, ModuleState};

use crate::kit::{World, sample, sees};
use crate::peer::Seen;

fn told(seen: Seen) -> Option<ModuleState> {
    match seen {
        Seen::Module(state) => Some(state),
        _ => None,
    }
}

async fn next(world: &mut World) -> ModuleReadiness {
    sees(&mut world.seen, told).await.readiness()
}

#[tokio::test]
async fn a_module_is_made_ready_before_a_call_comes() {
    let mut world = World::new(sample("echo"), 1).await;
    world.peer.hold_modules_back();
    sees(&mut world.seen, |seen| matches!(seen, Seen::Quote { .. }).then_some(())).await;
    world.peer.request_warm();
    assert_eq!(next(&mut world).await, ModuleReadiness::Warming);
    world.peer.request_warm();
    assert_eq!(next(&mut world).await, ModuleReadiness::Warming, "a load under way is not begun again");
    world.peer.let_modules_go();
    assert_eq!(next(&mut world).await, ModuleReadiness::Ready);
    assert_eq!(world.broker.invoke(&world.token(1), "ready").await.body, "ready");
    world.peer.request_warm();
    assert_eq!(next(&mut world).await, ModuleReadiness::Ready);
    assert_eq!(world.peer.fetched(), 1);
}

#[tokio::test]
async fn a_module_that_cannot_run_is_told_with_the_reason() {
    let mut world = World::new("not a module".into(), 1).await;
    sees(&mut world.seen, |seen| matches!(seen, Seen::Quote { .. }).then_some(())).await;
    world.peer.request_warm();
    assert_eq!(next(&mut world).await, ModuleReadiness::Warming);
    let state = sees(&mut world.seen, told).await;
    assert_eq!(state.readiness(), ModuleReadiness::Refused);
    assert!(state.reason.contains("not WebAssembly"), "{state:?}");
}
