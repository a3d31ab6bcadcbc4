//! `merit compile-module`: compiles one WebAssembly module from standard input to standard output, within limits. The
//! hosts of this program start it as a child process; it is not for people.

#[cfg(feature = "wasm")]
use merit_priority::Priority;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// CPU time at most
    #[arg(long)]
    cpu_seconds: u64,
    /// Private memory at most
    #[arg(long)]
    memory_bytes: u64,
    /// Only on processors that nothing else wants
    #[arg(long)]
    idle: bool,
}

#[cfg(feature = "wasm")]
pub(crate) fn run(arguments: &Arguments) -> std::process::ExitCode {
    let Arguments { cpu_seconds, memory_bytes, idle } = *arguments;
    let priority = if idle { Priority::Idle } else { Priority::Background };
    match merit_wasm::compile_child(merit_wasm::CompileLimits { cpu_seconds, memory_bytes }, priority) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // The host passes it on.
            eprintln!("{error}");
            match error {
                merit_wasm::CompileFailure::Module(_) => std::process::ExitCode::from(merit_wasm::MODULE_FAILED),
                merit_wasm::CompileFailure::Host(_) => std::process::ExitCode::FAILURE,
            }
        }
    }
}

#[cfg(not(feature = "wasm"))]
pub(crate) fn run(_arguments: &Arguments) -> std::process::ExitCode {
    eprintln!("{}", crate::wasm_host::NOT_BUILT);
    std::process::ExitCode::FAILURE
}
