//! Targets: a function's owner reaches only what the provider's owner allows, whatever networks the operator allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::response::Redirect;
use axum::routing::any;
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::doors::{Key, Secured, succeeds};
use crate::market::Answer;
use crate::process::merit;

/// A service beside the market.
struct Service {
    endpoint: String,
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Service {
    /// Starts one that answers `said` everywhere, but redirects `/away` to another place.
    async fn start(tasks: &mut JoinSet<()>, said: &'static str, away: String) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        let answer = any(async move || {
            counted.fetch_add(1, Ordering::SeqCst);
            said
        });
        let router =
            Router::new().route("/away", any(async move || Redirect::temporary(&away))).fallback_service(answer);
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Service { endpoint: format!("http://127.0.0.1:{port}"), port, requests }
    }
}

/// A market with keys, which allows this machine's network for endpoints; a server that is sold, and one that nobody
/// may reach.
struct TargetWorld {
    secured: Secured,
    tenant: Key,
    seller: Key,
    inside: Service,
    _provider: crate::process::Process,
    _tasks: JoinSet<()>,
}

impl TargetWorld {
    async fn start() -> TargetWorld {
        let (secured, mut tasks) = (Secured::start().await, JoinSet::new());
        let inside = Service::start(&mut tasks, "secret", "/".to_owned()).await;
        let away = format!("{}/admin", inside.endpoint);
        let sold = Service::start(&mut tasks, "sold", away).await;
        let flags = ["--adapter", "http", "--endpoint", &format!("{}/base", sold.endpoint)];
        let provider = secured.provider("server", &flags).await;
        let seller = secured.key("server", "provider").await;
        let tenant = secured.account("tenant").await;
        TargetWorld { secured, tenant, seller, inside, _provider: provider, _tasks: tasks }
    }

    async fn define(&self, target: &str) -> Answer {
        let definition = json!({"providers": "any", "deployments": [{"provider": "server", "target": target}]});
        self.secured.call_as(&self.tenant, Method::PUT, "/v1/functions/f", &[], definition.to_string()).await
    }

    async fn call(&self, path: &str) -> Answer {
        self.secured.call_as(&self.tenant, Method::POST, &format!("/fn/f{path}"), &[], "").await
    }

    async fn allow(&self, key: &Key, targets: Value) -> Answer {
        let body = json!({"targets": targets}).to_string();
        self.secured.call_as(key, Method::PUT, "/v1/providers/server/targets", &[], body).await
    }

    async fn listed(&self, key: &Key) -> Value {
        self.secured.call_as(key, Method::GET, "/v1/providers", &[], "").await.json()["providers"][0].clone()
    }

    fn seen_inside(&self) -> usize {
        self.inside.requests.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_tenant_reaches_no_service_on_the_loopback() {
    let world = TargetWorld::start().await;
    let (port, market) = (world.inside.port, &world.secured.market);
    for target in [
        format!("http://127.0.0.1:{port}/admin"),
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}/x"),
        format!("http://[::ffff:127.0.0.1]:{port}/y"),
        format!("http://2130706433:{port}/z"),
        format!("http://127.1:{port}/q"),
        format!("http://0.0.0.0:{port}/"),
        format!("{}/merit.v1.Operator/Deposit", market.grpc),
        format!("{}/v1/accounts", market.http),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://10.0.0.1/".to_owned(),
    ] {
        let refused = world.define(&target).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "invalid"), "{target}: {refused:?}");
        let said = format!("deployments.server: `{target}` is not below the endpoint of server");
        assert!(refused.message().starts_with(&said), "{refused:?}");
        assert!(refused.message().ends_with("ask its owner to allow the target"), "{refused:?}");
    }
    for target in ["/../admin", "/x/%2e%2e/%2e%2e/admin", "/a%2f..%2fadmin", "//127.0.0.1/", "http://u@127.0.0.1/"] {
        assert_eq!(world.define(target).await.status, 400, "{target}");
    }
    assert_eq!(world.define("/f").await.status, 200);
    assert_eq!(world.call("/deep?q=1").await.text(), "sold");
    assert_eq!(world.seen_inside(), 0);
}

#[tokio::test]
async fn a_redirect_of_a_server_is_not_followed() {
    let mut tasks = JoinSet::new();
    let secured = Secured::start().await;
    let inside = Service::start(&mut tasks, "secret", "/".to_owned()).await;
    let sold = Service::start(&mut tasks, "sold", format!("{}/admin", inside.endpoint)).await;
    let _provider = secured.provider("server", &["--adapter", "http", "--endpoint", &sold.endpoint]).await;
    let tenant = secured.account("tenant").await;
    let definition =
        json!({"providers": "any", "deployments": [{"provider": "server", "target": "/away"}]}).to_string();
    let put = secured.call_as(&tenant, Method::PUT, "/v1/functions/f", &[], definition).await;
    assert_eq!(put.status, 200, "{put:?}");
    let told = secured.call_as(&tenant, Method::POST, "/v1/functions/f/invocations", &[], "").await;
    assert_eq!((told.status.as_u16(), inside.requests.load(Ordering::SeqCst)), (307, 0), "{told:?}");
}

#[tokio::test]
async fn an_owner_allows_a_target_and_takes_it_back() {
    let world = TargetWorld::start().await;
    let target = format!("{}/admin", world.inside.endpoint);
    let all = format!("{}/*", world.inside.endpoint);
    let refused = world.allow(&world.tenant, json!([all])).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "forbidden"), "{refused:?}");
    let other = world.secured.account("other").await;
    let stranger = world.secured.key("other", "provider").await;
    assert_eq!(world.allow(&stranger, json!([all])).await.status, 404);
    let wrong = world.allow(&world.seller, json!(["https://*.example/*"])).await;
    assert_eq!(wrong.status, 422, "{wrong:?}");
    assert!(wrong.message().starts_with("targets: `https://*.example/*` is no pattern of targets"), "{wrong:?}");
    assert_eq!(world.define(&target).await.status, 422);

    assert_eq!(world.allow(&world.seller, json!([all])).await.status, 200);
    assert_eq!(world.define(&target).await.status, 200);
    assert_eq!((world.call("").await.text(), world.call("/below").await.text()), ("secret", "secret"));
    assert_eq!(world.allow(&world.seller, json!([target])).await.status, 200);
    assert_eq!(world.call("").await.text(), "secret");
    let below = world.call("/below").await;
    assert_eq!((below.status.as_u16(), world.seen_inside()), (502, 3), "{below:?}");
    assert!(below.message().contains("the provider's owner does not allow the target"), "{below:?}");
    for (key, sees) in [(&world.seller, true), (&world.secured.operator, true), (&world.tenant, false), (&other, false)]
    {
        let listed = world.listed(key).await;
        assert_eq!(listed.get("targets").is_some_and(|told| *told == json!([target])), sees, "{listed}");
    }

    let mut command = merit();
    command.args(["providers", "targets", "server", "none", "--broker", &world.secured.market.http]);
    command.env("MERIT_KEY", world.seller.text());
    let said = succeeds(command).await;
    assert!(said.starts_with("functions may name targets below the endpoint of server"), "{said}");
    let refused = world.call("").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "no_eligible_provider"), "{refused:?}");
    assert_eq!(refused.json()["error"]["details"]["refused"][0]["code"], "target_not_allowed", "{refused:?}");
    assert_eq!(world.seen_inside(), 3);
}

#[tokio::test]
async fn a_provider_states_its_targets_at_its_start() {
    let (secured, mut tasks) = (Secured::start().await, JoinSet::new());
    let inside = Service::start(&mut tasks, "allowed", "/".to_owned()).await;
    let sold = Service::start(&mut tasks, "sold", "/".to_owned()).await;
    let all = format!("{}/fn/*", inside.endpoint);
    let flags = ["--adapter", "http", "--endpoint", &sold.endpoint, "--targets", &all];
    let provider = secured.provider("server", &flags).await;
    let tenant = secured.account("tenant").await;
    let target = format!("{}/fn/x", inside.endpoint);
    let definition = json!({"providers": "any", "deployments": [{"provider": "server", "target": target}]}).to_string();
    let put = secured.call_as(&tenant, Method::PUT, "/v1/functions/f", &[], definition).await;
    assert_eq!(put.status, 200, "{put:?}");
    let call = async || secured.call_as(&tenant, Method::POST, "/v1/functions/f/invocations", &[], "").await;
    assert_eq!(call().await.text(), "allowed");
    assert!(provider.stop().await.success());
    let key = secured.key("server", "provider").await.text();
    let again = ["--key", &key, "--adapter", "http", "--endpoint", &sold.endpoint];
    let _provider = secured.market.provider("server", &again).await;
    assert_eq!(call().await.text(), "allowed", "a start that names none leaves them");
}
