//! The bad tenants: several loops each, which do one harmful thing after the other, and the count of their answers.
//! Never waits between two of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use merit_priority::Priority;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::invoke_bench::SetupError;
use crate::invoke_bench::api_client::ApiClient;
use crate::tenants_bench::caller::{Answer, Caller};
use crate::tenants_bench::hostile;

/// Loops of each bad tenant.
pub(crate) const LOOPS: usize = 4;
/// Largest payload of a call: 6 MB.
const PAYLOAD_MAX_BYTES: usize = 6 << 20;
/// Time after which a call is given up by its caller.
const CANCEL_AFTER: Duration = Duration::from_millis(50);
/// Timeout of the functions.
const TIMEOUT_MS: u32 = 1000;
/// Repetitions of a deed that takes no time.
const MANY: u32 = 20;

/// A function of a hostile module.
struct HostileFunction {
    name: &'static str,
    memory_mb: u32,
    module: fn() -> Bytes,
}

const MODULES: [HostileFunction; 6] = [
    HostileFunction { name: "trap-at-start", memory_mb: 64, module: hostile::trap_at_start },
    HostileFunction { name: "endless", memory_mb: 64, module: hostile::endless },
    HostileFunction { name: "endless-start", memory_mb: 64, module: hostile::endless_start },
    HostileFunction { name: "memory", memory_mb: 256, module: hostile::memory },
    HostileFunction { name: "output", memory_mb: 64, module: hostile::output },
    HostileFunction { name: "random", memory_mb: 64, module: hostile::random },
];

/// Functions of servers: name, provider, target.
const DEPLOYMENTS: [(&str, &str, &str); 5] = [
    ("no-server", "nowhere", "/"),
    ("unavailable", "server", "/unavailable"),
    ("reset", "server", "/reset"),
    ("garbage", "server", "/garbage"),
    ("stall", "server", "/stall"),
];

/// One harmful thing, its name in the report, and its repetitions in a row.
struct HarmfulDeed {
    name: &'static str,
    times: u32,
    act: Act,
}

#[derive(Clone, Copy)]
enum Act {
    Call(&'static str),
    CallWith {
        query: &'static str,
        header: Option<(&'static str, &'static str)>,
    },
    Pay {
        bytes: usize,
    },
    Cancel(&'static str),
    Upload,
    /// Uploads a module of its own and calls it.
    Compile(fn(&Attack) -> &Bytes),
    Define,
}

const fn deed(name: &'static str, times: u32, act: Act) -> HarmfulDeed {
    HarmfulDeed { name, times, act }
}

const DEEDS: [HarmfulDeed; 22] = [
    deed("module that no host can run", MANY, Act::Upload),
    deed("trap while it starts", MANY, Act::Call("trap-at-start")),
    deed("endless loop", 1, Act::Call("endless")),
    deed("compile bomb", 1, Act::Compile(|attack| &attack.bomb)),
    deed("server that does not listen", MANY, Act::Call("no-server")),
    deed("endless loop while it starts", 1, Act::Call("endless-start")),
    deed("memory up to its limit", 1, Act::Call("memory")),
    deed("server that answers 503", MANY, Act::Call("unavailable")),
    deed("output without end", 1, Act::Call("output")),
    deed("call given up half way", MANY, Act::Cancel("endless")),
    deed("server that resets", MANY, Act::Call("reset")),
    deed("random bytes without end", 1, Act::Call("random")),
    deed("payload of 6 MB", 4, Act::Pay { bytes: PAYLOAD_MAX_BYTES }),
    deed("payload above 6 MB", 4, Act::Pay { bytes: PAYLOAD_MAX_BYTES + 1 }),
    deed("server that answers garbage", MANY, Act::Call("garbage")),
    deed("large module", 1, Act::Compile(|attack| &attack.large)),
    deed("timeout of 1 ms", MANY, Act::Call("brief")),
    deed("deadline of 1 ms", MANY, Act::CallWith { query: "", header: Some(("merit-deadline", "+1ms")) }),
    deed("server that stalls", 1, Act::Call("stall")),
    deed("deferred call", MANY, Act::CallWith { query: "?mode=deferred", header: None }),
    deed("async call", MANY, Act::CallWith { query: "", header: Some(("prefer", "respond-async")) }),
    deed("function of its own", MANY, Act::Define),
];

/// Returns the names of all deeds in their order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    DEEDS.iter().map(|deed| deed.name)
}

/// Answers by deed.
pub(crate) type Counts = BTreeMap<&'static str, BTreeMap<String, u64>>;

/// One bad tenant.
pub(crate) struct Attack {
    account: &'static str,
    caller: Caller,
    /// Digest of the good tenant's module, which this one uses, too.
    module: Value,
    bomb: Bytes,
    large: Bytes,
    /// Number of its next function.
    next: AtomicU64,
    counts: Mutex<Counts>,
}

impl Attack {
    /// Deploys the functions of a bad tenant. `module` is a good one.
    pub(crate) async fn prepare(
        account: &'static str,
        api: &ApiClient,
        module: &'static [u8],
    ) -> Result<Arc<Attack>, SetupError> {
        let upload = async |name: &str, module: Bytes| {
            let path = format!("/v1/functions/{name}/module?revision=false");
            api.ask(Method::PUT, &path, module).await.map(|kept| kept["module"].clone())
        };
        let define = async |name: &str, definition: Value| {
            api.ask(Method::PUT, &format!("/v1/functions/{name}"), definition.to_string()).await
        };
        for HostileFunction { name, memory_mb, module } in MODULES {
            let module = upload(name, module()).await?;
            define(name, of_module(&module, memory_mb, TIMEOUT_MS)).await?;
        }
        for (name, provider, target) in DEPLOYMENTS {
            let deployments = json!([{"provider": provider, "target": target}]);
            define(name, json!({"providers": "any", "timeout_ms": TIMEOUT_MS, "deployments": deployments})).await?;
        }
        let module = upload("plain", Bytes::from_static(module)).await?;
        define("plain", of_module(&module, 64, TIMEOUT_MS)).await?;
        define("brief", of_module(&module, 64, 1)).await?;
        Ok(Arc::new(Attack {
            account,
            caller: Caller::new(api.server, api.authorization()?),
            module,
            bomb: hostile::compile_bomb(),
            large: hostile::large(),
            next: AtomicU64::new(0),
            counts: Mutex::default(),
        }))
    }

    /// Begins its loops on a runtime, each at another of the deeds whose names contain `only`.
    fn begin(self: &Arc<Attack>, runtime: &Runtime, only: &str) {
        let deeds: Vec<&HarmfulDeed> = DEEDS.iter().filter(|deed| deed.name.contains(only)).collect();
        for number in 0..LOOPS {
            let (attack, deeds) = (Arc::clone(self), deeds.clone());
            // Ends with the runtime.
            runtime.spawn(async move {
                for deed in deeds.iter().cycle().skip(number * deeds.len() / LOOPS) {
                    for _ in 0..deed.times {
                        let word = attack.act(deed.act).await;
                        attack.count(deed.name, word);
                    }
                }
            });
        }
    }

    /// Adds its counts to those of others.
    pub(crate) fn add_to(&self, counts: &mut Counts) {
        for (name, answers) in &*self.counts.lock().unwrap_or_else(PoisonError::into_inner) {
            for (word, count) in answers {
                *counts.entry(name).or_default().entry(word.clone()).or_default() += count;
            }
        }
    }

    fn count(&self, name: &'static str, word: String) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(name).or_default().entry(word).or_default() += 1;
    }

    /// Does one harmful thing. Returns the word for its answer.
    async fn act(&self, act: Act) -> String {
        match act {
            Act::Call(function) => self.call(function, Bytes::new()).await.word(),
            Act::CallWith { query, header } => {
                let path = format!("/v1/functions/plain/invocations{query}");
                self.caller.invoke(&path, header, Bytes::new()).await.word()
            }
            Act::Pay { bytes } => self.call("plain", Bytes::from(vec![b'p'; bytes])).await.word(),
            Act::Cancel(function) => {
                let given_up = tokio::time::timeout(CANCEL_AFTER, self.call(function, Bytes::new())).await;
                given_up.map_or_else(|_| "given up".to_owned(), |answer| answer.word())
            }
            Act::Upload => self.upload("no-host", hostile::unrunnable()).await.word(),
            Act::Compile(module) => {
                let name = self.new_name();
                let kept = self.upload(&name, hostile::salted(module(self), &format!("{}-{name}", self.account))).await;
                let module = serde_json::from_slice::<Value>(&kept.body).unwrap_or_default()["module"].clone();
                self.define_and_call(&name, &module).await
            }
            Act::Define => self.define_and_call(&self.new_name(), &self.module).await,
        }
    }

    fn new_name(&self) -> String {
        format!("new-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    async fn call(&self, function: &str, payload: Bytes) -> Answer {
        self.caller.invoke(&format!("/v1/functions/{function}/invocations"), None, payload).await
    }

    async fn upload(&self, function: &str, module: Bytes) -> Answer {
        let path = format!("/v1/functions/{function}/module?revision=false");
        self.caller.send(Method::PUT, &path, None, module).await
    }

    /// Makes a function and calls it once. Returns the word for the first answer that is not good, or for the last.
    async fn define_and_call(&self, name: &str, module: &Value) -> String {
        let definition = of_module(module, 64, TIMEOUT_MS).to_string();
        let made = self.caller.send(Method::PUT, &format!("/v1/functions/{name}"), None, definition.into()).await;
        if made.is_success() { self.call(name, Bytes::new()).await.word() } else { made.word() }
    }
}

/// The loops of all bad tenants, on threads of their own at low priority: on machines of their own they would not take
/// the market's cores. Dropping it ends them.
pub(crate) struct Attacking(Option<Runtime>);

impl Attacking {
    /// Begins the loops, each with the deeds whose names contain `only`.
    pub(crate) fn begin(attacks: &[Arc<Attack>], only: &str) -> std::io::Result<Attacking> {
        // A failure leaves them at the priority of the rest.
        let low = || merit_priority::set(Priority::Background).unwrap_or_default();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().on_thread_start(low).build()?;
        attacks.iter().for_each(|attack| attack.begin(&runtime, only));
        Ok(Attacking(Some(runtime)))
    }
}

impl Drop for Attacking {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn of_module(module: &Value, memory_mb: u32, timeout_ms: u32) -> Value {
    json!({"memory_mb": memory_mb, "timeout_ms": timeout_ms, "providers": "any", "idempotent": true, "module": module})
}
