//! Overrides one RPC: `Get` returns a default value for absent keys. All other RPCs are forwarded.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use prism_call::{
    Context, Error,
    proto::{
        Interfaces,
        models::keyvalue::v1::{Entry, ForwardKeyValueBasic, GetRequest, GetResponse, KeyValueBasic},
    },
};
use prism_slot::Layer;

pub struct Overriding(pub &'static str);

impl Layer for Overriding {
    fn name(&self) -> &'static str {
        "overriding"
    }

    fn wrap(self: Arc<Self>, interfaces: Interfaces) -> Interfaces {
        let with_default = |inner| Arc::new(WithDefault { inner, value: Bytes::from_static(self.0.as_bytes()) }) as Arc<dyn KeyValueBasic>;
        Interfaces { keyvalue_basic: interfaces.keyvalue_basic.map(with_default), ..interfaces }
    }
}

struct WithDefault {
    inner: Arc<dyn KeyValueBasic>,
    value: Bytes,
}

#[async_trait]
impl ForwardKeyValueBasic for WithDefault {
    fn inner(&self) -> &dyn KeyValueBasic {
        &*self.inner
    }

    async fn get(&self, context: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        let key = request.key.clone();
        let mut response = self.inner.get(context, request).await?;
        response.entry.get_or_insert_with(|| Entry { key, value: self.value.clone(), ..Entry::default() });
        Ok(response)
    }
}
