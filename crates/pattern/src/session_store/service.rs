//! The RPCs, in the order of the service.

use async_trait::async_trait;

use super::{SessionStore, change, users};
use prism_call::{
    Context, Error, Messages,
    proto::patterns::session_store::v1::{
        CreateSessionRequest, CreateSessionResponse, EndAllSessionsRequest, EndAllSessionsResponse, EndSessionRequest, EndSessionResponse,
        EndUserSessionRequest, EndUserSessionResponse, ExtendSessionRequest, ExtendSessionResponse, GetCapabilitiesRequest,
        GetCapabilitiesResponse, GetSessionRequest, GetSessionResponse, ListSessionsRequest, ListSessionsResponse, RotateTokenRequest,
        RotateTokenResponse, SessionStore as Service, UpdateSessionRequest, UpdateSessionResponse,
    },
};

#[async_trait]
impl Service for SessionStore {
    async fn get_capabilities(&self, _: &Context, _: GetCapabilitiesRequest) -> Result<GetCapabilitiesResponse, Error> {
        Ok(GetCapabilitiesResponse { capabilities: Some(self.capabilities.describe()) })
    }

    async fn create_session(&self, context: &Context, request: CreateSessionRequest) -> Result<CreateSessionResponse, Error> {
        change::create(self, context, request).await
    }

    async fn get_session(&self, context: &Context, request: GetSessionRequest) -> Result<GetSessionResponse, Error> {
        let (_, mut stored) = self.open_session(context, &request.token).await?;
        if !request.peek {
            self.touch(context, &mut stored).await?;
        }
        Ok(GetSessionResponse { session: Some(stored.into_session()) })
    }

    async fn update_session(&self, context: &Context, request: UpdateSessionRequest) -> Result<UpdateSessionResponse, Error> {
        Ok(UpdateSessionResponse { session: Some(change::update(self, context, request).await?) })
    }

    async fn extend_session(&self, context: &Context, request: ExtendSessionRequest) -> Result<ExtendSessionResponse, Error> {
        Ok(ExtendSessionResponse { session: Some(change::extend(self, context, request).await?) })
    }

    async fn rotate_token(&self, context: &Context, request: RotateTokenRequest) -> Result<RotateTokenResponse, Error> {
        change::rotate(self, context, &request.token).await
    }

    async fn end_session(&self, context: &Context, request: EndSessionRequest) -> Result<EndSessionResponse, Error> {
        let ended = match self.open_session(context, &request.token).await {
            Ok((token, stored)) => self.remove(context, &stored.record.user, &token.id).await?,
            Err(error) if error.reason() == "SESSION_NOT_FOUND" => false,
            Err(error) => return Err(error),
        };
        Ok(EndSessionResponse { ended })
    }

    async fn list_sessions(&self, context: &Context, request: ListSessionsRequest) -> Result<Messages<ListSessionsResponse>, Error> {
        users::list(self, context, request).await
    }

    async fn end_user_session(&self, context: &Context, request: EndUserSessionRequest) -> Result<EndUserSessionResponse, Error> {
        Ok(EndUserSessionResponse { ended: users::end(self, context, request).await? })
    }

    async fn end_all_sessions(&self, context: &Context, request: EndAllSessionsRequest) -> Result<EndAllSessionsResponse, Error> {
        users::end_all(self, context, request).await
    }
}
