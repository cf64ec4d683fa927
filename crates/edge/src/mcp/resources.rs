//! Resources. Listing and reading them are calls of RPCs.

use std::sync::Arc;

use http::HeaderMap;

use super::{
    methods::{Answered, Methods, milliseconds},
    response::to_value,
};
use crate::derived::CAPABILITIES_AGE;
use prism_call::{Admitted, Error};
use prism_mcp::{
    McpRequest, RequestRevision, ResourceSet, ToolSet,
    protocol::{CacheScope, ErrorData, ListResourceTemplatesResult, ListResourcesResult},
    resource_error,
};

impl Methods<'_> {
    /// Lists resources, page by page.
    pub(super) async fn list_resources(&self, admitted: &mut Admitted<'_>, request: &McpRequest) -> Result<Answered, ErrorData> {
        let cursor = Self::cursor(request)?;
        Ok(match self.page(admitted, cursor).await {
            Ok((mut result, headers)) => {
                // The data may change at any time.
                result.ttl_ms = Some(0);
                result.cache_scope = Some(CacheScope::Private);
                Answered { headers, ..to_value(&result).into() }
            }
            Err(error) => Answered::failed(error),
        })
    }

    async fn page(&self, admitted: &mut Admitted<'_>, cursor: &str) -> Result<(ListResourcesResult, HeaderMap), Error> {
        let tools = self.endpoint.frontend.tools(admitted).await?;
        let listed = tools.resources.as_ref().and_then(|resources| Some((resources, resources.list_rpc()?)));
        let Some((resources, rpc)) = listed else { return Ok((ListResourcesResult::default(), HeaderMap::new())) };
        let reply = self.call_rpc(admitted, &rpc.method, || resources.list_request(rpc, cursor)).await?;
        let page = resources.page(rpc, reply.output, cursor, &self.limits(admitted)).await?;
        Ok((page, reply.headers))
    }

    /// Lists the template of the URIs of resources.
    pub(super) async fn list_templates(&self, admitted: &Admitted<'_>) -> Result<Answered, ErrorData> {
        Ok(match self.endpoint.frontend.tools(admitted).await {
            Ok(tools) => {
                let may_read = |resources: &&ResourceSet| admitted.may_call(&resources.read_rpc().method);
                let templates = tools.resources.as_ref().filter(may_read).map(ResourceSet::template).into_iter().collect();
                let mut result = ListResourceTemplatesResult::with_all_items(templates).with_ttl_ms(milliseconds(CAPABILITIES_AGE));
                result.cache_scope = Some(CacheScope::Private);
                to_value(&result).into()
            }
            Err(error) => Answered::failed(error),
        })
    }

    /// Reads a resource.
    pub(super) async fn read_resource(
        &self,
        admitted: &mut Admitted<'_>,
        request: &McpRequest,
        revision: RequestRevision,
    ) -> Result<Answered, ErrorData> {
        let uri = request.text("uri")?;
        let tools = match self.endpoint.frontend.tools(admitted).await {
            Ok(tools) => tools,
            Err(error) => return Ok(Answered::failed(error)),
        };
        Ok(match self.read(admitted, &tools, uri).await {
            Ok((result, headers)) => Answered { headers, ..result.into() },
            Err(error) => {
                let answer = resource_error(&error.for_client(), uri, revision == RequestRevision::PerRequest);
                Answered { error: Some(error), answer: Err(answer), headers: HeaderMap::new() }
            }
        })
    }

    async fn read(&self, admitted: &mut Admitted<'_>, tools: &Arc<ToolSet>, uri: &str) -> Result<(serde_json::Value, HeaderMap), Error> {
        let resources = tools.resources.as_ref().ok_or_else(|| ResourceSet::unknown(uri))?;
        let reply = self.call_rpc(admitted, &resources.read_rpc().method, || resources.read_request(uri)).await?;
        let mut result = resources.content(uri, reply.output)?;
        result.ttl_ms = Some(0);
        result.cache_scope = Some(CacheScope::Private);
        Ok((to_value(&result), reply.headers))
    }
}
