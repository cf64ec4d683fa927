//! Interfaces: the interfaces of a backend themselves, over the slot `backend`.

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings};
use prism_call::{
    Code, Context, Error, Handler, Input, Method, Output, Reply,
    proto::{
        INTERFACE_SERVICES, Interfaces as Implementations,
        patterns::interfaces::v1::{GetCapabilitiesRequest, GetCapabilitiesResponse, Interfaces as Service, dispatch_interfaces},
    },
};
use prism_settings::{CheckSettings, settings_schema};
use prism_slot::Slot;

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "interfaces",
    version: "v1",
    service: "prism.patterns.interfaces.v1.InterfacesService",
    interface_services: INTERFACE_SERVICES,
    schema: settings_schema::<InterfacesSettings>,
    check: check_settings::<InterfacesSettings>,
    open_handler: |slots, environment| Box::pin(async { Interfaces::open(slots, environment) }),
};

/// The pattern has no settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InterfacesSettings {}

impl CheckSettings for InterfacesSettings {}

/// The pattern in one namespace.
///
/// Drivers check all requests of their interfaces, and the guard of the slot adds deadlines and errors, so nothing is left to do here.
struct Interfaces {
    implementations: Implementations,
    /// Name of the backend, for error messages.
    backend: String,
    capabilities: NamespaceCapabilities,
}

impl Interfaces {
    fn open(slots: &mut Slots<'_>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let InterfacesSettings {} = environment.settings()?;
        let Slot { backend, interfaces, limits, .. } = slots.required("backend")?;
        if interfaces.names().is_empty() {
            let message = format!("slots.backend: the backend {backend} has no interface; fill the slot with another one");
            return Err(Error::new(Code::InvalidArgument, "INTERFACE_MISSING", message));
        }
        // Each interface documents the limits of its transactions.
        let capabilities = slots.capabilities(&limits, 0, environment);
        Ok(Arc::new(Self { implementations: interfaces, backend, capabilities }))
    }
}

#[async_trait]
impl Handler for Interfaces {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        let output: Output = if method.interface.is_some() {
            self.implementations.dispatch(context, &method.service, &method.name, input, &self.backend).await?
        } else {
            dispatch_interfaces(self, context, &method.name, input).await?
        };
        Ok(output.into())
    }
}

#[async_trait]
impl Service for Interfaces {
    async fn get_capabilities(&self, _: &Context, _: GetCapabilitiesRequest) -> Result<GetCapabilitiesResponse, Error> {
        Ok(GetCapabilitiesResponse { capabilities: Some(self.capabilities.describe()) })
    }
}
