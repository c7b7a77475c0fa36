//! `cargo xtask bench edge [ROUNDS] [SECONDS]`.

use cutover_tests::bench::{edge, pairing::Spread};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(9);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let folders = cutover_tests::paths::baselines();
    if !folders.is_empty() {
        for (folder, (throughput, cpu)) in folders.iter().zip(edge::against(&folders, rounds, seconds).await)
        {
            println!("Cutover / {}", folder.display());
            for (name, Spread { median, min, max }) in
                [("throughput", throughput), ("processor time per request", cpu)]
            {
                println!("  {name}: {median:.3} ({min:.3} to {max:.3})");
            }
        }
        return;
    }
    if rounds == 0 {
        // Only what takes seconds: the processor time of a snapshot.
        let origin = format!("http://127.0.0.1:{}", cutover_tests::bench::load::start_origin().await);
        let cost = edge::snapshot_cost(&origin).await;
        println!("snapshot of 1 000 flags, read + checked + compiled: {cost:.2} ms");
        return;
    }
    let report = edge::run(rounds, seconds).await;
    let row = |name: &str, spread: Spread| {
        println!("{name:<52} {:>7.3} {:>7.3} {:>7.3}", spread.median, spread.min, spread.max);
    };
    println!("{:<52} {:>7} {:>7} {:>7}", "throughput ratio", "median", "min", "max");
    row("Cutover / bare pass-through", report.ratio_to_passthrough);
    row("Cutover / hand-written flag proxy", report.ratio_to_js_flag_proxy);
    row("hand-written flag proxy / bare pass-through", report.js_flag_proxy_to_passthrough);
    row("Cutover with decision headers / bare pass-through", report.with_headers_to_passthrough);
    row("Cutover with 10 000 flags / with 10", report.ratio_10000_to_10_flags);
    row("  stage: reads the facts / bare pass-through", report.stage_read_to_passthrough);
    row("  stage: also limits the time, counts / bare pass-through", report.stage_limit_to_passthrough);
    println!("{:<52} {:>7} {:>7} {:>7}", "processor time per request, ratio", "median", "min", "max");
    row("Cutover / bare pass-through", report.cpu_to_passthrough);
    row("Cutover with 10 000 flags / with 10", report.cpu_10000_to_10_flags);
    println!(
        "{:<52} {:>7} {:>7} {:>7}",
        "cold start, time to the first response, ratio", "median", "min", "max"
    );
    row("Cutover with 10 flags / bare pass-through", report.cold_start_to_passthrough);
    row("Cutover with 1 000 flags / bare pass-through", report.cold_start_with_1000_flags);
    println!("snapshot of 1 000 flags, read + checked + compiled: {:.2} ms", report.snapshot_1000_flags_ms);
    let reads = &report.kv_reads;
    println!("KV reads: {} of {} allowed, under {} requests", reads.reads, reads.allowed, reads.requests);
    println!("Worker, gzipped: {} bytes", report.worker_gzip_bytes);
}
