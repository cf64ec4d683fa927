//! `pubsub_wildcards`

use async_trait::async_trait;

use super::PubSub;
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{PubSubWildcards, SubscribePatternRequest, SubscribePatternResponse},
};
use prism_driver::{check, pubsub::Filter};

#[async_trait]
impl PubSubWildcards for PubSub {
    async fn subscribe_pattern(&self, _: &Context, request: SubscribePatternRequest) -> Result<Messages<SubscribePatternResponse>, Error> {
        check::pattern("pattern", &request.pattern)?;
        self.0.clone().subscribe(request.pattern, request.subscription, Filter::All)
    }
}
