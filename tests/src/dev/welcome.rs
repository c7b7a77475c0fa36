//! The text that `cargo xtask dev` prints once everything runs.

use crate::{
    dev::{endpoints::Endpoints, own::Own},
    paths,
};

/// The parts of the stack with their purposes.
const PARTS: [(&str, &str); 8] = [
    ("edge", "the Worker: send requests here as your users do"),
    ("management", "the management API, below /api/migration"),
    ("ingest", "receives the reports of isolates, at /v1/batches"),
    ("ask", "answers the questions of isolates, at /v1/questions"),
    ("legacy", "the old backend"),
    ("new", "the new backend"),
    ("dynamodb", "DynamoDB's API"),
    ("kv", "the KV REST API"),
];

/// Returns the URLs of all parts.
pub fn urls(endpoints: &Endpoints, is_bold: bool) -> String {
    let rows = PARTS.map(|(name, purpose)| {
        format!("  {} {:<50} {purpose}\n", bold(&format!("{name:<11}"), is_bold), endpoints.get(name))
    });
    format!("\n{}", rows.concat())
}

/// Returns commands to try with the demonstration backends.
pub fn demo(endpoints: &Endpoints, is_bold: bool) -> String {
    let request = |user: &str| {
        format!("curl -si $CUTOVER_EDGE_URL/api/v1/reviews/7 -H 'x-user-id: {user}' | grep -i '^x-'")
    };
    let control = |rate: &str| {
        format!(
            "curl -X PUT $NEW_BACKEND/_control -H 'content-type: application/json' -d '{{\"error_rate\": {rate}}}'"
        )
    };
    let words = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let chapters = [
        ("in a second terminal, in this folder; cutover preflight reads these too", endpoints.exports()),
        (
            "send requests as two users, and see which backend responds and why",
            vec![request("user-1"), request("user-123")],
        ),
        (
            "move all users, in about 6 seconds",
            words(&["cutover list", "cutover rollout graphql_reviews_read 100"]),
        ),
        (
            "send everyone to legacy, and back; repeat a request from above after each",
            words(&["cutover emergency-rollback 'trying it out'", "cutover emergency-clear 'tried'"]),
        ),
        (
            "run a canary under traffic; the third terminal needs the exports too, and Ctrl-C there ends the traffic",
            words(&[
                "users $CUTOVER_EDGE_URL/api/v1/offers/3/reviews 300     # third terminal",
                "cutover canary start graphql_offers_read",
                "cutover canary watch graphql_offers_read",
            ]),
        ),
        (
            "break the new backend while the canary climbs, and heal it after the rollback",
            vec![control("0.3"), control("0")],
        ),
    ];
    let commands = commands(&chapters, is_bold);
    format!("{commands}\n  cargo xtask dev --tour leads through all of this step by step.\n")
}

/// Returns commands to try with backends of the user.
pub fn own(own: &Own, endpoints: &Endpoints, is_bold: bool) -> String {
    let Own { file, flag, path, .. } = own;
    let is_written_here = file.starts_with(paths::target("dev"));
    let file = file.display();
    let (title, edit) = if is_written_here {
        let copy = format!("cp {file} cutover.yaml");
        (
            "change the configuration: edit a copy, and apply it",
            vec![copy, "cutover apply -f cutover.yaml".to_owned()],
        )
    } else {
        ("change the configuration: edit your file, and apply it", vec![format!("cutover apply -f {file}")])
    };
    let request = format!("curl -si $CUTOVER_EDGE_URL{path} -H 'x-user-id: user-1' | grep -i '^x-cutover'");
    let chapters = [
        ("in a second terminal, in this folder", endpoints.exports()),
        ("send a request, and see which backend responds and why", vec![request.clone()]),
        (
            "move all users to the new backend, in about 6 seconds, and look again",
            vec![format!("cutover rollout {flag} 100"), "sleep 6".to_owned(), request.clone(), request],
        ),
        (title, edit),
    ];
    commands(&chapters, is_bold)
}

/// Formats commands below their titles.
fn commands(chapters: &[(&str, Vec<String>)], is_bold: bool) -> String {
    let chapter = |(title, lines): &(&str, Vec<String>)| {
        let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
        format!("\n  {}\n{lines}", bold(title, is_bold))
    };
    chapters.iter().map(chapter).collect()
}

fn bold(text: &str, is_bold: bool) -> String {
    if is_bold { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}
