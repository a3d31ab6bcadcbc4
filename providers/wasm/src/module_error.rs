//! The reasons why this host cannot run a module.

/// Bytes that are not a module that this host can run. The text is for the module's owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    #[error("the bytes are not those of the digest")]
    OtherDigest,
    #[error("not WebAssembly: {0}")]
    NotWebAssembly(String),
    #[error("imports {module}.{name} which WASI preview 1 does not have")]
    UnknownImport { module: String, name: String },
    #[error("imports something of WASI preview 1 with another type: {0}")]
    ImportType(String),
    #[error("has no _start: a function exported under that name, without parameters and results")]
    NoStart,
    #[error("the compiler failed on it: {0}")]
    Compiler(String),
    #[error("too many modules wait to be compiled")]
    QueueFull,
    #[error("its compilation was interrupted")]
    Interrupted,
    #[error("this host failed: {0}")]
    Host(String),
    #[error("it takes more than {cpu_seconds} s of CPU time, or too much memory, to compile; simplify its functions")]
    TooComplex { cpu_seconds: u64 },
}

impl ModuleError {
    /// Returns false for failures of the host, a busy compiler, and bytes of another digest.
    pub const fn is_of_module(&self) -> bool {
        !self.is_passing() && !matches!(self, ModuleError::Host(_) | ModuleError::OtherDigest)
    }

    /// Returns whether the compiler was only too busy: a later try may succeed.
    pub const fn is_passing(&self) -> bool {
        matches!(self, ModuleError::QueueFull | ModuleError::Interrupted)
    }
}
