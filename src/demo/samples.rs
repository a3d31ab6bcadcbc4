//! The sample functions of the demo.

use anyhow::Context;
use merit_proto::Transport;
use merit_proto::v1;
use merit_proto::v1::audience::Kind;
use merit_proto::v1::modules_client::ModulesClient;
use merit_proto::v1::registry_client::RegistryClient;

use crate::exchange::DEV;

/// A sample function: its module, and the payload of the demo's calls.
pub(super) struct Sample {
    pub(super) name: &'static str,
    module: &'static [u8],
    memory_mb: u32,
    timeout_ms: u32,
    /// None: a wait of some tenths of a second.
    pub(super) payload: Option<&'static str>,
    /// Its share of the calls, in relation to the others.
    pub(super) weight: u32,
}

pub(super) const SAMPLES: [Sample; 5] = [
    Sample {
        name: "echo",
        module: include_bytes!("../../functions/echo.wasm"),
        memory_mb: 128,
        timeout_ms: 3000,
        payload: Some("hello"),
        weight: 1,
    },
    Sample {
        name: "sha256",
        module: include_bytes!("../../functions/sha256.wasm"),
        memory_mb: 128,
        timeout_ms: 10_000,
        payload: Some("to be hashed"),
        weight: 1,
    },
    Sample {
        name: "wordcount",
        module: include_bytes!("../../functions/wordcount.wasm"),
        memory_mb: 128,
        timeout_ms: 10_000,
        payload: Some("the words of this payload are counted\n"),
        weight: 1,
    },
    Sample {
        name: "mandelbrot",
        module: include_bytes!("../../functions/mandelbrot.wasm"),
        memory_mb: 256,
        timeout_ms: 30_000,
        payload: Some(""),
        weight: 1,
    },
    Sample {
        name: "wait",
        module: include_bytes!("../../functions/wait.wasm"),
        memory_mb: 512,
        timeout_ms: 60_000,
        payload: None,
        weight: 30,
    },
];

/// Deploys the sample functions for any provider. One that has the sample's code as a revision is left alone, however
/// it was changed since; one of an earlier sample gets the code and keeps its settings.
pub(crate) async fn deploy_samples(exchange: &Transport) -> anyhow::Result<()> {
    let mut modules = ModulesClient::new(exchange.clone());
    let mut registry = RegistryClient::new(exchange.clone());
    for sample in &SAMPLES {
        let put = modules.put(v1::PutModuleRequest { module: sample.module.to_vec(), account: DEV.to_owned() }).await;
        let digest = put.with_context(|| format!("the module of {} was refused", sample.name))?.into_inner().digest;
        let code = v1::Code {
            memory_mb: sample.memory_mb,
            timeout_ms: sample.timeout_ms,
            module: digest,
            ..v1::Code::default()
        };
        let known = v1::GetFunctionRequest { account: DEV.to_owned(), name: sample.name.to_owned() };
        let known = registry.get_function(known).await.map(tonic::Response::into_inner);
        if known.as_ref().is_ok_and(|function| function.revisions.contains(&code)) {
            continue;
        }
        let settings = known.ok().and_then(|function| function.settings).unwrap_or_else(|| v1::FunctionSettings {
            idempotent: true,
            audience: Some(v1::Audience { kind: Kind::Any.into(), providers: Vec::new() }),
            ..v1::FunctionSettings::default()
        });
        let request = v1::PutFunctionRequest {
            account: DEV.to_owned(),
            name: sample.name.to_owned(),
            code: Some(code),
            settings: Some(settings),
        };
        registry.put_function(request).await.with_context(|| format!("{} could not be deployed", sample.name))?;
    }
    Ok(())
}
