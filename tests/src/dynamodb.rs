//! DynamoDB's API over HTTP in this process, for the real AWS SDK.

use crate::fault_proxy::FaultProxy;
use std::net::SocketAddr;
use tokio::task::JoinHandle;

/// A running DynamoDB, empty and in memory, behind a proxy that can inject faults.
pub struct DynamoDb {
    server: JoinHandle<()>,
    /// The proxy to which the functions connect.
    pub proxy: FaultProxy,
}

impl DynamoDb {
    /// Starts the database on a free port.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("a bound address");
        let database = dynoxide::Database::memory().expect("a database in memory");
        let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
        Self { server, proxy: FaultProxy::start(address).await }
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        self.proxy.url()
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        self.server.abort();
    }
}
