//! WebAssembly modules as anybody may upload them.
//!
//! Promises: the exchange's check ends and never panics; a module that it takes compiles at a host, or is refused
//! there; one that runs keeps to its limits of time, memory and output, whatever it does.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use merit_wasm::{Host, HostSettings, Job, ModuleSettings, Runtime, RuntimeSettings, digest};

/// Longest run of a module, in which it is cut, with all that a slow machine needs besides.
const TIMEOUT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20);
const OUTPUT_MAX_BYTES: usize = 4096;
const MEMORY_MB: u32 = 16;

struct Bench {
    tokio: tokio::runtime::Runtime,
    runtime: Arc<Runtime>,
    host: Host,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let runtime = Runtime::new(RuntimeSettings { threads: 1, modules: ModuleSettings::default() }).unwrap();
    let host = Host::new(Arc::clone(&runtime), HostSettings { threads: 1, cpu_share: 1.0 }).unwrap();
    Bench { tokio, runtime, host }
});

/// Runs the target.
pub fn modules(input: &[u8]) {
    if merit_module::check(input).is_err() {
        return;
    }
    let bench = &*BENCH;
    let wasm = Bytes::copy_from_slice(input);
    bench.tokio.block_on(async {
        let reservation = bench.runtime.modules().reserve("dev").unwrap();
        let Ok(module) = bench.runtime.modules().load(digest(&wasm), wasm, reservation).await else { return };
        let job = Job {
            module,
            payload: Bytes::from_static(b"payload"),
            environment: Vec::new(),
            arguments: Vec::new(),
            memory_mb: MEMORY_MB,
            timeout: TIMEOUT,
            waited: Duration::ZERO,
            output_limit_bytes: OUTPUT_MAX_BYTES,
            cancelled: tokio::sync::watch::channel(false).1,
            log_limit_bytes: OUTPUT_MAX_BYTES,
        };
        let begun = Instant::now();
        let Ok(execution) = bench.host.admit().unwrap().run(job).await else { return };
        assert!(begun.elapsed() < PATIENCE, "ran for {:?}", begun.elapsed());
        assert!(execution.output.len() <= OUTPUT_MAX_BYTES && execution.log.len() <= OUTPUT_MAX_BYTES);
        assert!(execution.usage.peak_memory_bytes <= u64::from(MEMORY_MB) << 20);
    });
}
