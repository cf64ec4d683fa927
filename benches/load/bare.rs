//! The baseline without a gateway: an axum route that returns bytes from a map.

use std::{collections::HashMap, sync::Arc};

use axum::{Router, extract::Path, extract::State, routing::get};
use bytes::Bytes;

use crate::Result;

pub fn serve(answer: &str) -> Result<()> {
    let values = Arc::new(HashMap::from([
        ("greeting".to_owned(), Bytes::from(vec![b'x'; 100])),
        ("answer".to_owned(), Bytes::from(answer.to_owned())),
    ]));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let router = Router::new()
            .route(
                "/scratch/v1/values/{*key}",
                get(|State(values): State<Arc<HashMap<String, Bytes>>>, Path(key): Path<String>| async move {
                    values.get(&key).cloned().ok_or(http::StatusCode::NOT_FOUND)
                }),
            )
            .with_state(values);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("port {}", listener.local_addr()?.port());
        axum::serve(listener, router).await?;
        Ok(())
    })
}
