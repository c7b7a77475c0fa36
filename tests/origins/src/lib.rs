//! Two services, each as two backends over the same data: reviews, and a catalogue of persons, places and works. Each
//! backend names itself in the header `x-backend`, and each can be made to fail, to respond slowly or to cut connections,
//! at `/_control`.

mod backend;
mod catalogue;
mod data;
mod faults;
mod graphql;
mod rest;
mod second;

pub use backend::Backend;
pub use catalogue::sdl as catalogue_sdl;
pub use data::{Data, Review};
pub use faults::{Control, Counts, Faults};
pub use graphql::sdl;

use axum::{Router, middleware};
use std::{net::SocketAddr, sync::Arc};
use tokio::task::JoinHandle;

/// A running backend.
pub struct Origin {
    address: SocketAddr,
    control: Arc<Control>,
    server: JoinHandle<()>,
}

impl Origin {
    /// Starts a backend of the reviews over the given data on a free port.
    pub async fn start(backend: Backend, data: Arc<Data>) -> Self {
        Self::start_on(backend, data, 0).await
    }

    /// Starts a backend of the reviews over the given data on the given port.
    pub async fn start_on(backend: Backend, data: Arc<Data>, port: u16) -> Self {
        let mut app = rest::router(Arc::clone(&data));
        if backend == Backend::New {
            app = app.merge(graphql::router(Arc::clone(&data))).merge(second::router(data));
        }
        Self::serve(backend, app.fallback(rest::unknown), port).await
    }

    /// Starts a backend of the catalogue on a free port: the old one has REST only, the new one GraphQL only.
    pub async fn start_catalogue(backend: Backend) -> Self {
        let app = match backend {
            Backend::Legacy => catalogue::rest_router(),
            Backend::New => catalogue::graphql_router(),
        };
        Self::serve(backend, app, 0).await
    }

    async fn serve(backend: Backend, app: Router, port: u16) -> Self {
        let control = Arc::new(Control::default());
        let app = app
            .layer(middleware::from_fn_with_state((backend, Arc::clone(&control)), faults::apply))
            .merge(faults::router(Arc::clone(&control)));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let address = listener.local_addr().expect("a bound address");
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the backend serves");
        });
        Self { address, control, server }
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the faults and counts of the backend.
    pub fn control(&self) -> &Control {
        &self.control
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.abort();
    }
}
