//! The resident memory of this process, as the kernel counts it. Never allocates to measure.

/// A failure to read the memory of this process.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    #[error("/proc/self/statm cannot be read")]
    Read(#[from] std::io::Error),
    #[error("/proc/self/statm says `{0}`")]
    Format(String),
}

/// Returns the resident bytes.
pub(crate) fn resident_bytes() -> Result<u64, MemoryError> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: Option<u64> = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    Ok(pages.ok_or(MemoryError::Format(text))? * rustix::param::page_size() as u64)
}
