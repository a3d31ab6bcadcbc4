//! The wait of a deployment until its module is ready at the providers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use http::Method;
use merit_terms::Name;

use crate::client::Client;
use crate::output::{objects, text};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks after which the providers are asked again: one may have come back, or have been too busy.
const ASK_EVERY: u32 = 20;

/// Asks the providers to make the newest module of a function ready, and waits until each says that it is, or that it
/// cannot be. Tells the news as sentences. Fails if it is ready nowhere in time.
pub(super) async fn wait(
    client: &Client,
    name: &Name,
    within: Duration,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    for look in 0_u32.. {
        let answer = match look.is_multiple_of(ASK_EVERY) {
            true => client.json(Method::POST, &format!("/v1/functions/{name}/warm"), &[], "").await?,
            false => client.get(&format!("/v1/functions/{name}")).await?,
        };
        let mut open = Vec::new();
        let mut is_ready_somewhere = false;
        for row in objects(&answer, "readiness") {
            let (provider, state, reason) = (text(row, "provider"), text(row, "state"), text(row, "reason"));
            is_ready_somewhere |= state == "ready";
            let waited = started.elapsed().as_secs_f64();
            let news = match state.as_str() {
                "ready" => format!("ready at {provider} after {waited:.1} s"),
                "refused" => format!("{provider} cannot run it: {reason}"),
                _ => {
                    open.push(provider);
                    continue;
                }
            };
            if told.get(&provider) != Some(&state) {
                tell(&news);
                told.insert(provider, state);
            }
        }
        let is_offered = !objects(&answer, "readiness").is_empty();
        match (is_ready_somewhere, open.is_empty() && is_offered, started.elapsed() >= within) {
            (true, true, _) => return Ok(()),
            (true, _, true) => {
                tell(&format!("not ready yet at {}", open.join(", ")));
                return Ok(());
            }
            (false, true, _) => bail!("no provider can run it; `merit functions show {name}` says why"),
            (false, _, true) if !is_offered => {
                bail!("no provider offers to run it; `merit quote {name}` says why")
            }
            (false, _, true) => bail!(
                "it is not ready within {} s at {}; until it is, calls are answered 503; --wait=SECONDS waits longer",
                within.as_secs(),
                open.join(", ")
            ),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    Ok(())
}
