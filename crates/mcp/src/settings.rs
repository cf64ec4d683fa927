//! The settings of an MCP frontend.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{ResultLimits, names};
use prism_settings::{ByteSize, CheckSettings, Count, HumanDuration, SettingProblem};

/// Settings of a frontend of the type `mcp`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct McpSettings {
    /// Offer only RPCs without side effects.
    pub read_only: bool,
    /// The RPCs that are tools, as `Retrieve`; `*` stands for any letters, as in `Compare*`. Default: all.
    pub allow: Vec<String>,
    /// RPCs that are no tools, even if `allow` has them.
    pub deny: Vec<String>,
    /// Names and descriptions of tools that differ from the contract, by the name of the RPC.
    pub tools: BTreeMap<String, ToolSettings>,
    /// What the server tells agents about itself. Default: a text from the contract of the pattern.
    pub instructions: Option<String>,
    /// Maximum size of the result of a tool.
    pub max_result_bytes: ByteSize<1024, 16_777_216>,
    /// Maximum items of a stream in one result.
    pub max_items: Count<10_000>,
    /// How long a tool collects the items of a stream that does not end.
    pub stream_wait: HumanDuration<100>,
}

/// What differs from the contract.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolSettings {
    /// The name: 1 to 64 letters, digits, `_` and `-`.
    pub name: Option<String>,
    /// The name for people.
    pub title: Option<String>,
    /// What it does and when to use it.
    pub description: Option<String>,
}

/// Longest time to collect the items of a stream.
const MAX_STREAM_WAIT: Duration = Duration::from_mins(1);

impl Default for McpSettings {
    fn default() -> Self {
        Self {
            read_only: false,
            allow: Vec::new(),
            deny: Vec::new(),
            tools: BTreeMap::new(),
            instructions: None,
            max_result_bytes: ByteSize::new(64 << 10),
            max_items: Count::new(100),
            stream_wait: HumanDuration::from_millis(5_000),
        }
    }
}

impl CheckSettings for McpSettings {
    fn check(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        for (rpc, tool) in &self.tools {
            if tool.name.as_ref().is_some_and(|name| !names::is_tool_name(name)) {
                problems.push(SettingProblem::expected(&format!("tools.{rpc}.name"), "1 to 64 letters, digits, `_` and `-`"));
            }
        }
        if *self.stream_wait > MAX_STREAM_WAIT {
            problems.push(SettingProblem::expected("stream_wait", "at most 1m"));
        }
        problems
    }
}

impl McpSettings {
    /// Returns the limits of results.
    pub fn limits(&self) -> ResultLimits {
        ResultLimits { bytes: self.max_result_bytes.to_usize(), items: self.max_items.to_usize(), wait: *self.stream_wait }
    }
}
