//! Many users asking the edge, and what it decided for each.

use crate::http::Connection;
use std::collections::BTreeMap;

/// What the edge decided for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `legacy` or `new`, as the edge says.
    pub arm: String,
    /// Why.
    pub reason: String,
    /// The backend that answered, as it says itself.
    pub backend: String,
}

const CONNECTIONS: usize = 16;

/// Asks for a path as each of these users.
pub async fn ask(port: u16, path: &str, users: &[String]) -> BTreeMap<String, Seen> {
    let tasks: Vec<_> = users
        .chunks(users.len().div_ceil(CONNECTIONS).max(1))
        .map(|users| {
            let (users, path) = (users.to_vec(), path.to_owned());
            tokio::spawn(async move {
                let mut connection = Connection::open(port).await;
                let mut seen = Vec::with_capacity(users.len());
                for user in users {
                    let answer = connection.get(&path, &[("x-user-id", &user)]).await;
                    let header = |name: &str| answer.header(name).unwrap_or_default();
                    assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
                    let (arm, reason, backend) =
                        (header("x-cutover-arm"), header("x-cutover-reason"), header("x-backend"));
                    assert_eq!(arm, backend, "what the edge says and who answered differ for {user}");
                    seen.push((user, Seen { arm, reason, backend }));
                }
                seen
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for task in tasks {
        all.extend(task.await.expect("the users ask to the end"));
    }
    all
}

/// The users that the new backend answered.
pub fn on_new(seen: &BTreeMap<String, Seen>) -> Vec<&str> {
    seen.iter().filter(|(_, seen)| seen.arm == "new").map(|(user, _)| user.as_str()).collect()
}

/// That many different users.
pub fn users(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{prefix}-{at}")).collect()
}
