//! Two Workers of one process, measured next to each other, and the spread of their ratios over the rounds of a run.

use serde::Serialize;

/// Spread of a ratio over the rounds of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

impl Spread {
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { median: values[values.len() / 2], min: values[0], max: values[values.len() - 1] }
    }
}

/// Measures two Workers of a process in the order first, second, second, first, so that a drift of the machine affects both
/// equally. `load` sends requests to the Worker with an index, and returns their number per second. Returns the throughput of
/// the first and its processor time per request, as ratios to those of the second.
pub(super) async fn pair<L>(process: u32, load: L) -> (f64, f64)
where
    L: AsyncFn(usize) -> f64,
{
    let (mut requests, mut cost) = ([0.0; 2], [0.0; 2]);
    for whose in [0, 1, 1, 0] {
        let before = processor_seconds(process);
        requests[whose] += load(whose).await;
        cost[whose] += processor_seconds(process) - before;
    }
    (requests[0] / requests[1], cost[0] / requests[0] * requests[1] / cost[1])
}

/// Returns the processor time of the threads of a process in seconds, from the kernel, which counts it in nanoseconds.
pub(super) fn processor_seconds(id: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).expect("the process has threads");
    let nanoseconds = threads.flatten().map(|thread| {
        // A thread may end meanwhile.
        let times = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        times.split(' ').next().and_then(|time| time.parse::<f64>().ok()).unwrap_or_default()
    });
    nanoseconds.sum::<f64>() / 1e9
}
