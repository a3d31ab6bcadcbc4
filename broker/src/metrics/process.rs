//! CPU, memory, files and threads of this process, under the names of Prometheus' own clients.
//!
//! Source: proc(5). Without a `/proc` they stay 0. The client library's own collector would bring a second version of
//! two system crates for these numbers.

use std::fs;

use prometheus::{Counter, IntGauge};

use super::Maker;

/// Ticks a second of the kernel's times, on every architecture of Linux.
const TICKS: f64 = 100.0;

pub(super) struct ProcessMetrics {
    cpu: Counter,
    memory: IntGauge,
    virtual_memory: IntGauge,
    files: IntGauge,
    files_max: IntGauge,
    started: IntGauge,
    threads: IntGauge,
}

impl ProcessMetrics {
    pub(super) fn new(made: &Maker<'_>) -> Result<ProcessMetrics, prometheus::Error> {
        Ok(ProcessMetrics {
            cpu: made.sum("process_cpu_seconds_total", "Time on processors, the system's part included.")?,
            memory: made.gauge("process_resident_memory_bytes", "Resident memory.")?,
            virtual_memory: made.gauge("process_virtual_memory_bytes", "Virtual memory.")?,
            files: made.gauge("process_open_fds", "Open file descriptors.")?,
            files_max: made.gauge("process_max_fds", "How many may be open.")?,
            started: made.gauge("process_start_time_seconds", "When it started, in seconds since 1970.")?,
            threads: made.gauge("process_threads", "Threads.")?,
        })
    }

    pub(super) fn read(&mut self) {
        if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
            self.read_stat(&stat);
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            let bytes = |name| number_after(&status, name).map_or(0, |kilobytes| kilobytes * 1024);
            self.memory.set(bytes("VmRSS:"));
            self.virtual_memory.set(bytes("VmSize:"));
            self.threads.set(number_after(&status, "Threads:").unwrap_or(0));
        }
        if let Ok(limits) = fs::read_to_string("/proc/self/limits") {
            self.files_max.set(number_after(&limits, "Max open files").unwrap_or(i64::MAX));
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            self.files.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
    }

    /// Reads CPU time and start time. Fields count after the name in brackets, which may have spaces.
    fn read_stat(&mut self, stat: &str) {
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) as f64;
        let cpu = (ticks(11) + ticks(12)) / TICKS;
        self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
        let booted = fs::read_to_string("/proc/stat").ok().and_then(|stat| number_after(&stat, "btime"));
        self.started.set(booted.unwrap_or(0) + (ticks(19) / TICKS) as i64);
    }
}

/// Returns the first number on the line that begins with `name`.
fn number_after(text: &str, name: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[path = "../../tests/unit/metrics/process.rs"]
mod tests;
