//! The RPCs, in the order of the service.

use async_trait::async_trait;
use futures::stream;

use super::SchemaRegistryHandler;
use prism_call::{
    Context, Error, Messages,
    proto::patterns::schema_registry::v1::{
        CheckCompatibilityRequest, CheckCompatibilityResponse, CreateDekRequest, CreateDekResponse, CreateKekRequest, CreateKekResponse,
        DeleteAssociationsRequest, DeleteAssociationsResponse, DeleteConfigRequest, DeleteConfigResponse, DeleteContextRequest,
        DeleteContextResponse, DeleteDekRequest, DeleteDekResponse, DeleteKekRequest, DeleteKekResponse, DeleteModeRequest,
        DeleteModeResponse, DeleteSubjectRequest, DeleteSubjectResponse, DeleteVersionRequest, DeleteVersionResponse, FindSchemaRequest,
        FindSchemaResponse, GetCapabilitiesRequest, GetCapabilitiesResponse, GetConfigRequest, GetConfigResponse, GetDekRequest,
        GetDekResponse, GetKekRequest, GetKekResponse, GetModeRequest, GetModeResponse, GetSchemaByGuidRequest, GetSchemaByGuidResponse,
        GetSchemaByIdRequest, GetSchemaByIdResponse, GetSchemaRequest, GetSchemaResponse, ListAssociationsRequest,
        ListAssociationsResponse, ListContextsRequest, ListContextsResponse, ListDekSubjectsRequest, ListDekSubjectsResponse,
        ListDekVersionsRequest, ListDekVersionsResponse, ListIdsOfGuidRequest, ListIdsOfGuidResponse, ListKeksRequest, ListKeksResponse,
        ListReferrersRequest, ListReferrersResponse, ListSchemaTypesRequest, ListSchemaTypesResponse, ListSchemasRequest,
        ListSchemasResponse, ListSubjectsRequest, ListSubjectsResponse, ListVersionsOfIdRequest, ListVersionsOfIdResponse,
        ListVersionsRequest, ListVersionsResponse, LookUpSchemaRequest, LookUpSchemaResponse, RegisterSchemaRequest,
        RegisterSchemaResponse, SchemaRegistry as Service, SetAssociationsBatchRequest, SetAssociationsBatchResponse,
        SetAssociationsRequest, SetAssociationsResponse, SetConfigRequest, SetConfigResponse, SetModeRequest, SetModeResponse,
        TagSchemaRequest, TagSchemaResponse, UndeleteDekRequest, UndeleteDekResponse, UndeleteKekRequest, UndeleteKekResponse,
        UpdateKekRequest, UpdateKekResponse,
    },
};
use prism_schema::SchemaFormat;

#[async_trait]
impl Service for SchemaRegistryHandler {
    async fn get_capabilities(&self, _: &Context, _: GetCapabilitiesRequest) -> Result<GetCapabilitiesResponse, Error> {
        Ok(GetCapabilitiesResponse { capabilities: Some(self.registry.capabilities.describe()) })
    }

    async fn register_schema(&self, context: &Context, request: RegisterSchemaRequest) -> Result<RegisterSchemaResponse, Error> {
        Ok(RegisterSchemaResponse { schema: Some(self.registry.register(context, request).await?) })
    }

    async fn look_up_schema(&self, context: &Context, request: LookUpSchemaRequest) -> Result<LookUpSchemaResponse, Error> {
        Ok(LookUpSchemaResponse { schema: Some(self.registry.look_up(context, request).await?) })
    }

    async fn get_schema(&self, context: &Context, request: GetSchemaRequest) -> Result<GetSchemaResponse, Error> {
        Ok(GetSchemaResponse { schema: Some(self.registry.get(context, request).await?) })
    }

    async fn get_schema_by_id(&self, context: &Context, request: GetSchemaByIdRequest) -> Result<GetSchemaByIdResponse, Error> {
        self.registry.get_by_id(context, request).await
    }

    async fn get_schema_by_guid(&self, context: &Context, request: GetSchemaByGuidRequest) -> Result<GetSchemaByGuidResponse, Error> {
        Ok(GetSchemaByGuidResponse { schema: Some(self.registry.get_by_guid(context, request).await?) })
    }

    async fn list_ids_of_guid(&self, context: &Context, request: ListIdsOfGuidRequest) -> Result<ListIdsOfGuidResponse, Error> {
        Ok(ListIdsOfGuidResponse { ids: self.registry.ids_of_guid(context, request).await? })
    }

    async fn list_versions_of_id(&self, context: &Context, request: ListVersionsOfIdRequest) -> Result<ListVersionsOfIdResponse, Error> {
        Ok(ListVersionsOfIdResponse { versions: self.registry.versions_of_id(context, request).await? })
    }

    async fn list_schemas(&self, context: &Context, request: ListSchemasRequest) -> Result<Messages<ListSchemasResponse>, Error> {
        let found = self.registry.list(context, request).await?;
        Ok(Box::pin(stream::iter(found.into_iter().map(|schema| Ok(ListSchemasResponse { schema: Some(schema) })))))
    }

    async fn list_schema_types(&self, _: &Context, _: ListSchemaTypesRequest) -> Result<ListSchemaTypesResponse, Error> {
        Ok(ListSchemaTypesResponse { types: SchemaFormat::ALL.iter().map(SchemaFormat::to_string).collect() })
    }

    async fn list_subjects(&self, context: &Context, request: ListSubjectsRequest) -> Result<Messages<ListSubjectsResponse>, Error> {
        let found = self.registry.subjects(context, request).await?;
        Ok(Box::pin(stream::iter(found.into_iter().map(|subject| Ok(ListSubjectsResponse { subject })))))
    }

    async fn list_versions(&self, context: &Context, request: ListVersionsRequest) -> Result<ListVersionsResponse, Error> {
        Ok(ListVersionsResponse { versions: self.registry.versions(context, request).await? })
    }

    async fn delete_subject(&self, context: &Context, request: DeleteSubjectRequest) -> Result<DeleteSubjectResponse, Error> {
        Ok(DeleteSubjectResponse { versions: self.registry.delete_subject(context, request).await? })
    }

    async fn delete_version(&self, context: &Context, request: DeleteVersionRequest) -> Result<DeleteVersionResponse, Error> {
        Ok(DeleteVersionResponse { version: self.registry.delete_version(context, request).await? })
    }

    async fn list_referrers(&self, context: &Context, request: ListReferrersRequest) -> Result<ListReferrersResponse, Error> {
        Ok(ListReferrersResponse { ids: self.registry.referrers(context, request).await? })
    }

    async fn find_schema(&self, context: &Context, request: FindSchemaRequest) -> Result<FindSchemaResponse, Error> {
        Ok(FindSchemaResponse { schema: Some(self.registry.find(context, request).await?) })
    }

    async fn tag_schema(&self, context: &Context, request: TagSchemaRequest) -> Result<TagSchemaResponse, Error> {
        Ok(TagSchemaResponse { schema: Some(self.registry.tag(context, request).await?) })
    }

    async fn check_compatibility(
        &self,
        context: &Context,
        request: CheckCompatibilityRequest,
    ) -> Result<CheckCompatibilityResponse, Error> {
        self.registry.check(context, request).await
    }

    async fn get_config(&self, context: &Context, request: GetConfigRequest) -> Result<GetConfigResponse, Error> {
        Ok(GetConfigResponse { config: Some(self.registry.get_config(context, request).await?) })
    }

    async fn set_config(&self, context: &Context, request: SetConfigRequest) -> Result<SetConfigResponse, Error> {
        Ok(SetConfigResponse { config: Some(self.registry.set_config(context, request).await?) })
    }

    async fn delete_config(&self, context: &Context, request: DeleteConfigRequest) -> Result<DeleteConfigResponse, Error> {
        Ok(DeleteConfigResponse { config: Some(self.registry.delete_config(context, request).await?) })
    }

    async fn get_mode(&self, context: &Context, request: GetModeRequest) -> Result<GetModeResponse, Error> {
        Ok(GetModeResponse { mode: self.registry.get_mode(context, request).await? })
    }

    async fn set_mode(&self, context: &Context, request: SetModeRequest) -> Result<SetModeResponse, Error> {
        Ok(SetModeResponse { mode: self.registry.set_mode(context, request).await? })
    }

    async fn delete_mode(&self, context: &Context, request: DeleteModeRequest) -> Result<DeleteModeResponse, Error> {
        Ok(DeleteModeResponse { mode: self.registry.delete_mode(context, request).await? })
    }

    async fn list_contexts(&self, context: &Context, request: ListContextsRequest) -> Result<ListContextsResponse, Error> {
        Ok(ListContextsResponse { contexts: self.registry.contexts(context, request).await? })
    }

    async fn delete_context(&self, context: &Context, request: DeleteContextRequest) -> Result<DeleteContextResponse, Error> {
        self.registry.delete_context(context, request).await?;
        Ok(DeleteContextResponse {})
    }

    async fn list_keks(&self, context: &Context, request: ListKeksRequest) -> Result<ListKeksResponse, Error> {
        Ok(ListKeksResponse { names: self.registry.list_keks(context, request).await? })
    }

    async fn get_kek(&self, context: &Context, request: GetKekRequest) -> Result<GetKekResponse, Error> {
        Ok(GetKekResponse { kek: Some(self.registry.get_kek(context, request).await?) })
    }

    async fn create_kek(&self, context: &Context, request: CreateKekRequest) -> Result<CreateKekResponse, Error> {
        Ok(CreateKekResponse { kek: Some(self.registry.create_kek(context, request).await?) })
    }

    async fn update_kek(&self, context: &Context, request: UpdateKekRequest) -> Result<UpdateKekResponse, Error> {
        Ok(UpdateKekResponse { kek: Some(self.registry.update_kek(context, request).await?) })
    }

    async fn delete_kek(&self, context: &Context, request: DeleteKekRequest) -> Result<DeleteKekResponse, Error> {
        self.registry.delete_kek(context, request).await?;
        Ok(DeleteKekResponse {})
    }

    async fn undelete_kek(&self, context: &Context, request: UndeleteKekRequest) -> Result<UndeleteKekResponse, Error> {
        self.registry.undelete_kek(context, request).await?;
        Ok(UndeleteKekResponse {})
    }

    async fn list_dek_subjects(&self, context: &Context, request: ListDekSubjectsRequest) -> Result<ListDekSubjectsResponse, Error> {
        Ok(ListDekSubjectsResponse { subjects: self.registry.dek_subjects(context, request).await? })
    }

    async fn list_dek_versions(&self, context: &Context, request: ListDekVersionsRequest) -> Result<ListDekVersionsResponse, Error> {
        Ok(ListDekVersionsResponse { versions: self.registry.dek_versions(context, request).await? })
    }

    async fn get_dek(&self, context: &Context, request: GetDekRequest) -> Result<GetDekResponse, Error> {
        Ok(GetDekResponse { dek: Some(self.registry.get_dek(context, request).await?) })
    }

    async fn create_dek(&self, context: &Context, request: CreateDekRequest) -> Result<CreateDekResponse, Error> {
        Ok(CreateDekResponse { dek: Some(self.registry.create_dek(context, request).await?) })
    }

    async fn delete_dek(&self, context: &Context, request: DeleteDekRequest) -> Result<DeleteDekResponse, Error> {
        self.registry.delete_dek(context, request).await?;
        Ok(DeleteDekResponse {})
    }

    async fn undelete_dek(&self, context: &Context, request: UndeleteDekRequest) -> Result<UndeleteDekResponse, Error> {
        self.registry.undelete_dek(context, request).await?;
        Ok(UndeleteDekResponse {})
    }

    async fn set_associations(&self, context: &Context, request: SetAssociationsRequest) -> Result<SetAssociationsResponse, Error> {
        self.registry.set_associations(context, request).await
    }

    async fn set_associations_batch(
        &self,
        context: &Context,
        request: SetAssociationsBatchRequest,
    ) -> Result<SetAssociationsBatchResponse, Error> {
        Ok(SetAssociationsBatchResponse { results: self.registry.set_associations_batch(context, request).await? })
    }

    async fn list_associations(&self, context: &Context, request: ListAssociationsRequest) -> Result<ListAssociationsResponse, Error> {
        Ok(ListAssociationsResponse { associations: self.registry.list_associations(context, request).await? })
    }

    async fn delete_associations(
        &self,
        context: &Context,
        request: DeleteAssociationsRequest,
    ) -> Result<DeleteAssociationsResponse, Error> {
        Ok(DeleteAssociationsResponse { removed: self.registry.delete_associations(context, request).await? })
    }
}
