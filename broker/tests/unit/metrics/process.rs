//! The metrics of the test's own process.

use prometheus::Registry;

use super::*;

#[test]
fn this_process_has_memory_files_threads_and_a_start() {
    let mut process = ProcessMetrics::new(&Maker(&Registry::new())).unwrap();
    process.read();
    assert!(process.memory.get() > 1 << 20 && process.virtual_memory.get() >= process.memory.get());
    assert!(process.files.get() >= 3 && process.files_max.get() >= process.files.get());
    assert!(process.threads.get() >= 1);
    assert!(process.started.get() > 1_600_000_000, "{}", process.started.get());
}
