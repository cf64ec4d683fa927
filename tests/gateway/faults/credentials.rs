//! Credentials that change while a gateway runs, which is the same for every server.

use prism::call::Code;
use serde_json::Value;
use test_support::poll::until;

use super::{backend, get, healthy, keyvalue, set};

/// `change` changes the secret of the server from the first argument to the second one, and closes the connections. With the secret
/// `second`, calls fail with a reason that names the credentials. With `first` again, the same backend works without a restart.
pub async fn changed(kind: &str, settings: Value, mut change: impl FnMut(&str, &str)) {
    let backend = backend(kind, settings).await;
    healthy(&backend).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    change("first", "second");
    let error = until("the login is refused", || async {
        match get(&store, "k").await {
            Err(error) if error.reason() == "BACKEND_AUTHENTICATION" => Ok(error),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!((error.code(), error.retry_after().is_some()), (Code::Unavailable, true));
    change("second", "first");
    healthy(&backend).await;
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "v");
}
