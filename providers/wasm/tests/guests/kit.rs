//! A host of its own for each test, and modules from `functions/`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use merit_wasm::{
    Digest, GuestRun, Host, HostSettings, Job, Module, ModuleError, ModuleSettings, Runtime, RuntimeSettings, Seat,
    digest,
};

pub(crate) fn functions() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../functions")
}

pub(crate) fn sample(name: &str) -> Bytes {
    let path = functions().join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

pub(crate) fn hostile(name: &str) -> Bytes {
    let path = functions().join("hostile").join(format!("{name}.wat"));
    wat::parse_file(path).unwrap().into()
}

pub(crate) fn runtime(threads: u32) -> Arc<Runtime> {
    Runtime::new(RuntimeSettings { threads, modules: ModuleSettings::default() }).unwrap()
}

pub(crate) fn host(runtime: &Arc<Runtime>, threads: u32, cpu_share: f64) -> Host {
    Host::new(Arc::clone(runtime), HostSettings { threads, cpu_share }).unwrap()
}

pub(crate) async fn compiled(runtime: &Runtime, wasm: Bytes) -> Module {
    load(runtime, digest(&wasm), wasm).await.unwrap()
}

pub(crate) async fn load(runtime: &Runtime, of: Digest, wasm: Bytes) -> Result<Module, ModuleError> {
    let reservation = runtime.modules().reserve("dev")?;
    runtime.modules().load(of, wasm, reservation).await
}

/// A job with generous limits.
pub(crate) fn job(module: &Module, payload: impl Into<Bytes>) -> Job {
    Job {
        module: module.clone(),
        payload: payload.into(),
        environment: Vec::new(),
        arguments: Vec::new(),
        memory_mb: 128,
        timeout: Duration::from_secs(10),
        waited: Duration::ZERO,
        output_limit_bytes: 6 << 20,
        cancelled: tokio::sync::watch::channel(false).1,
        log_limit_bytes: 4096,
    }
}

pub(crate) async fn run(host: &Host, job: Job) -> GuestRun {
    seat(host).run(job).await.unwrap()
}

pub(crate) fn seat(host: &Host) -> Seat {
    host.admit().unwrap()
}

/// One call of a module on a host of its own, the job changed first.
pub(crate) async fn call(wasm: Bytes, payload: &[u8], change: impl FnOnce(&mut Job)) -> GuestRun {
    let runtime = runtime(1);
    let host = host(&runtime, 1, 1.0);
    let mut job = job(&compiled(&runtime, wasm).await, payload.to_vec());
    change(&mut job);
    run(&host, job).await
}
