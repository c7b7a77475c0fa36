//! DynamoDB's API over HTTP in this process, for the real AWS SDK.

use crate::fault_proxy::FaultProxy;
use std::net::SocketAddr;
use tokio::task::JoinHandle;

/// A running DynamoDB, empty and in memory, with a proxy before it that can misbehave.
pub struct DynamoDb {
    server: JoinHandle<()>,
    /// What the functions talk to.
    pub proxy: FaultProxy,
}

impl DynamoDb {
    /// Starts on a free port.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("a bound address");
        let database = dynoxide::Database::memory().expect("a database in memory");
        let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
        Self { server, proxy: FaultProxy::start(address).await }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        self.proxy.url()
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        self.server.abort();
    }
}
