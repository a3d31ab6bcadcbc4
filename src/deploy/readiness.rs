//! The wait of a deployment until its module is ready at the providers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::bail;
use http::Method;
use merit_terms::Name;

use crate::client::Client;
use crate::output::{in_clear, objects, text};

/// Time between two looks. Each counts as a call of the account's rate.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time before the second look: most modules are ready then.
const FIRST_LOOK_AFTER: Duration = Duration::from_millis(300);

/// Asks the providers to load the newest module of a function, and waits until each is ready or refuses. Tells the news
/// as sentences. Fails if none is ready within `within`.
pub(super) async fn wait(
    client: &Client,
    name: &Name,
    within: Duration,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let (mut pause, mut has_told_none) = (FIRST_LOOK_AFTER, false);
    loop {
        let answer = client.json(Method::POST, &format!("/v1/functions/{name}/warm"), &[], "").await?;
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
                tell(&in_clear(&news));
                told.insert(provider, state);
            }
        }
        let is_offered = !objects(&answer, "readiness").is_empty();
        if !is_offered && !std::mem::replace(&mut has_told_none, true) {
            tell(&format!("no provider offers to run it yet; waiting up to {} s", within.as_secs()));
        }
        match (is_ready_somewhere, open.is_empty() && is_offered, started.elapsed() >= within) {
            (true, true, _) => return Ok(()),
            (true, _, true) => {
                tell(&format!("not ready yet at {}", open.join(", ")));
                return Ok(());
            }
            (false, true, _) => bail!("no provider can run the module: {}", in_clear(&refusals(&answer))),
            (false, _, true) if !is_offered => {
                bail!(
                    "no provider offers to run the function; `merit quote {name}` says why, `merit provider` starts one"
                )
            }
            (false, _, true) => bail!(
                "the module is not ready at {} after {} s; calls get 503 until it is; wait longer with --wait=SECONDS",
                open.join(", "),
                within.as_secs()
            ),
            _ => tokio::time::sleep(std::mem::replace(&mut pause, LOOK_EVERY)).await,
        }
    }
}

/// Returns the reasons of all providers, each once.
fn refusals(answer: &serde_json::Value) -> String {
    let reasons: BTreeSet<String> = objects(answer, "readiness").iter().map(|row| text(row, "reason")).collect();
    reasons.into_iter().collect::<Vec<_>>().join("; ")
}
