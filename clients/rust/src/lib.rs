//! A client of Prism's patterns over gRPC.
//!
//! Each pattern has a module with its messages and a client, such as [`keyvalue::KeyValueClient`]. A client reads the capabilities of its
//! namespace when it is opened, so a call that the namespace does not support fails without a request. The file `README.md` describes
//! retries, deadlines and resumed streams.
//!
//! ```no_run
//! use prism_client::{Connection, keyvalue::{KeyValueClient, RetrieveRequest}};
//!
//! # async fn example() -> Result<(), prism_client::Error> {
//! let connection = Connection::to("http://127.0.0.1:8980").connect()?;
//! let client = KeyValueClient::open(&connection, "default").await?;
//! let reply = client.retrieve(RetrieveRequest { key: "greeting".to_owned() }).await?;
//! # Ok(())
//! # }
//! ```

mod caller;
mod connection;
mod error;
mod options;
mod replies;
pub mod resume;
mod retry;

#[allow(
    dead_code,
    missing_docs,
    clippy::all,
    clippy::pedantic,
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    rustdoc::bare_urls,
    reason = "generated from the contracts"
)]
mod contracts {
    include!(concat!(env!("OUT_DIR"), "/contracts.rs"));
}

pub use caller::Caller;
pub use connection::{Connection, ConnectionBuilder};
pub use error::{Code, Error};
pub use options::CallOptions;
pub use replies::Replies;
pub use retry::RetryPolicy;

pub use contracts::prism::patterns::{
    consumer::v1 as consumer,
    event_sourcing::v1 as event_sourcing,
    keyvalue::v1 as keyvalue,
    multicast_registry::v1 as multicast_registry,
    object_store::v1 as object_store,
    producer::v1 as producer,
    session_store::v1 as session_store,
    slots::v1::{Capabilities, Operation, Support},
    work_queue::v1 as work_queue,
};

/// An RPC, with the facts that a call needs.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    /// The path of its requests.
    pub path: &'static str,
    /// Its name, such as `Store`.
    pub name: &'static str,
    /// What a call changes.
    pub effect: Effect,
}

/// What a call changes. Decides whether it can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Reads,
    /// A repeated call leaves the same data as one call.
    Idempotent,
    /// Each call changes the data.
    Writes,
}
