//! What a binding serves: its settings, and the tools of its namespace, which are built at the first request.

use std::sync::Arc;

use crate::derived::Derived;
use prism_call::{Admitted, Error};
use prism_mcp::{McpSettings, ResultLimits, ToolSet};

/// An MCP frontend of a namespace.
pub struct McpFrontend {
    /// The settings.
    pub settings: Arc<McpSettings>,
    /// The bounds of results.
    pub limits: ResultLimits,
    tools: Derived<ToolSet>,
}

impl McpFrontend {
    /// Creates a frontend with these settings.
    pub fn new(settings: McpSettings) -> Self {
        let limits = settings.limits();
        Self { settings: Arc::new(settings), limits, tools: Derived::default() }
    }

    /// Returns the tools of the namespace of a request.
    pub async fn tools(&self, admitted: &Admitted<'_>) -> Result<Arc<ToolSet>, Error> {
        let (settings, namespace) = (self.settings.clone(), admitted.namespace().name.clone());
        self.tools
            .get(admitted, move |methods, capabilities| Ok(Arc::new(ToolSet::new(&namespace, methods, capabilities, &settings))))
            .await
    }
}
