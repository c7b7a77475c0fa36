//! `users URL [PER_SECOND]`: requests a URL, each time as another user, until Ctrl-C. For trying
//! canaries out.

use cutover_tests::steady::Steady;

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: users http://127.0.0.1:PORT/PATH [REQUESTS_PER_SECOND]";
    let url = arguments.next().unwrap_or_default();
    let target = url.strip_prefix("http://").and_then(|rest| {
        let (host, path) = rest.split_once('/')?;
        // Only local URLs are accepted.
        let port = host.strip_prefix("127.0.0.1:").or(host.strip_prefix("localhost:"))?;
        Some((port.parse::<u16>().ok()?, format!("/{path}")))
    });
    let Some((port, path)) = target else {
        eprintln!("{usage}");
        std::process::exit(2);
    };
    let per_second = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(100.0);
    eprintln!("sending {per_second} requests per second; press Ctrl-C to stop");
    let traffic = Steady::start(&[port], &[&path], per_second);
    let _ = tokio::signal::ctrl_c().await;
    let seen = traffic.stop().await;
    let new = seen.iter().filter(|seen| seen.new).count();
    let failed = seen.iter().filter(|seen| seen.status >= 500).count();
    eprintln!("{} responses, {new} from the new backend, {failed} errors", seen.len());
}
