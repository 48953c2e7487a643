//! What the system says of this process, under the names that all Prometheus clients use. Linux only;
//! elsewhere there is nothing.

/// The process at present.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Process {
    pub resident_bytes: u64,
    pub virtual_bytes: u64,
    pub cpu_seconds: f64,
    /// None where the rest of `/proc` is hidden, as a sandbox may have it.
    pub start_seconds: Option<f64>,
    pub open_files: u64,
    pub most_files: u64,
    pub threads: u64,
}

/// Looks at the process.
#[cfg(target_os = "linux")]
pub fn look() -> Option<Process> {
    use procfs::process::{LimitValue, Process as Own};
    use procfs::{CurrentSI, KernelStats, ticks_per_second};

    let own = Own::myself().ok()?;
    let stat = own.stat().ok()?;
    let ticks = ticks_per_second() as f64;
    let limits = own.limits().ok()?;
    let boot = KernelStats::current().map(|kernel| kernel.btime as f64);
    Some(Process {
        resident_bytes: stat.rss * procfs::page_size(),
        virtual_bytes: stat.vsize,
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
        start_seconds: boot.ok().map(|boot| boot + stat.starttime as f64 / ticks),
        open_files: own.fd_count().ok()? as u64,
        most_files: match limits.max_open_files.soft_limit {
            LimitValue::Value(most) => most,
            LimitValue::Unlimited => u64::MAX,
        },
        threads: u64::try_from(stat.num_threads).unwrap_or(0),
    })
}

/// Nothing is known.
#[cfg(not(target_os = "linux"))]
pub fn look() -> Option<Process> {
    None
}
