//! Time per call of the sample `echo` with a warm module, and of its compilation:
//! `cargo bench -p merit-wasm`. Prints; asserts only that the answers are right.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use merit_wasm::{GuestOutcome, Host, HostSettings, Job, ModuleSettings, Runtime, RuntimeSettings, digest};

const CALLS: usize = 20_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let wasm = Bytes::from_static(include_bytes!("../../../functions/echo.wasm"));
    let runtime = Runtime::new(RuntimeSettings { threads: 1, modules: ModuleSettings::default() })?;
    let host = Host::new(runtime.clone(), HostSettings { threads: 1, cpu_share: 1.0 })?;
    let started = Instant::now();
    let reservation = runtime.modules().reserve("dev")?;
    let module = runtime.modules().load(digest(&wasm), wasm, reservation).await?;
    println!("compile       {:>9.1} us", started.elapsed().as_secs_f64() * 1e6);

    for bytes in [0, 1_024, 1_048_576] {
        let job = Job {
            module: module.clone(),
            payload: vec![7; bytes].into(),
            environment: Vec::new(),
            arguments: vec!["echo".into()],
            memory_mb: 16,
            timeout: Duration::from_secs(10),
            waited: Duration::ZERO,
            output_limit_bytes: 8 << 20,
            cancelled: tokio::sync::watch::channel(false).1,
            log_limit_bytes: 4096,
        };
        let calls = if bytes > 100_000 { CALLS / 100 } else { CALLS };
        let (mut seen_us, mut wall_us, mut cpu_us) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..calls {
            let started = Instant::now();
            let execution = host.admit()?.run(job.clone()).await?;
            seen_us.push(started.elapsed().as_nanos() as f64 / 1e3);
            assert_eq!(execution.outcome, GuestOutcome::Ok, "echo is ok");
            assert_eq!(execution.output.len(), bytes, "echo answers its payload");
            wall_us.push(execution.usage.wall_us as f64);
            cpu_us.push(execution.usage.cpu_us as f64);
        }
        println!(
            "echo {bytes:>8} B: median {:>7.1} us a call (the host says wall {:.0}, CPU {:.0}), 99 of 100 under {:.1}",
            part(&mut seen_us, 0.5),
            part(&mut wall_us, 0.5),
            part(&mut cpu_us, 0.5),
            part(&mut seen_us, 0.99),
        );
    }
    Ok(())
}

fn part(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}
