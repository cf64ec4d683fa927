//! `pubsub_wildcards`: the wildcards of NATS are those of the contract.

use async_trait::async_trait;

use super::PubSub;
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{PubSubWildcards, SubscribePatternRequest, SubscribePatternResponse},
};
use prism_driver::{check, pubsub::Filter};

#[async_trait]
impl PubSubWildcards for PubSub {
    async fn subscribe_pattern(
        &self,
        context: &Context,
        request: SubscribePatternRequest,
    ) -> Result<Messages<SubscribePatternResponse>, Error> {
        check::pattern("pattern", &request.pattern)?;
        self.subscribe_to(context, "*", &request.pattern, Filter::All, request.subscription).await
    }
}
