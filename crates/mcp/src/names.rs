//! Names of tools, and the patterns that choose RPCs.

use std::sync::Arc;

use crate::McpSettings;
use prism_call::Method;
use prism_settings::SettingProblem;

/// Longest name that all clients take.
const MAX_NAME: usize = 64;

/// Tells whether all clients take a name.
pub fn is_tool_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Returns the name of the tool of an RPC: `CompareAndStore` → `compare_and_store`, `queue_basic.Enqueue` → `queue_basic_enqueue`.
pub fn tool_name(method: &Method) -> String {
    let name = words(&method.name).join("_").to_ascii_lowercase();
    match method.interface {
        Some(interface) => format!("{interface}_{name}"),
        None => name,
    }
}

/// Returns the name for people: `CompareAndStore` → `Compare and store`.
pub fn title(method: &Method) -> String {
    let mut words = words(&method.name).into_iter();
    let mut title = words.next().unwrap_or_default().to_owned();
    for word in words {
        title.push(' ');
        title.push_str(&word.to_ascii_lowercase());
    }
    match method.interface {
        Some(interface) => format!("{title} ({interface})"),
        None => title,
    }
}

/// Splits a name in Pascal case into its words.
fn words(name: &str) -> Vec<&str> {
    let bytes = name.as_bytes();
    let begins = |at: usize| at > 0 && bytes[at].is_ascii_uppercase() && !bytes[at - 1].is_ascii_uppercase();
    let starts: Vec<usize> = (0..bytes.len()).filter(|at| *at == 0 || begins(*at)).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| name.get(*start..end)).collect()
}

/// Tells whether a pattern chooses an RPC. It has the name of the RPC, as in `GetCapabilities`, or of an interface and its RPC; `*` stands for
/// any characters.
pub fn chooses(pattern: &str, method: &Method) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = method.label.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Tells whether the settings offer an RPC.
pub fn is_offered(settings: &McpSettings, method: &Method) -> bool {
    let listed = |patterns: &[String]| patterns.iter().any(|pattern| chooses(pattern, method));
    (settings.allow.is_empty() || listed(&settings.allow))
        && !listed(&settings.deny)
        && (method.read_only || !settings.read_only)
        // A tool has one set of arguments.
        && !method.client_streaming
}

/// Returns the problems of settings that name RPCs which are not among these, and of names that two tools have.
pub fn unknown_rpcs(settings: &McpSettings, methods: &[Arc<Method>]) -> Vec<SettingProblem> {
    let mut problems = Vec::new();
    let mut check = |setting: &str, pattern: &str| {
        if methods.iter().any(|method| chooses(pattern, method)) {
            return;
        }
        let similar = methods.iter().map(|method| method.label.as_str()).max_by(|one, other| {
            let similarity = |name: &str| strsim::jaro_winkler(name, pattern);
            similarity(one).total_cmp(&similarity(other))
        });
        let suggestion = similar.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        problems.push(SettingProblem::other(setting, format!("has `{pattern}`, but the pattern has no such RPC{suggestion}")));
    };
    for pattern in &settings.allow {
        check("allow", pattern);
    }
    for pattern in &settings.deny {
        check("deny", pattern);
    }
    for name in settings.tools.keys() {
        check("tools", name);
    }
    let mut names: Vec<String> =
        methods.iter().filter(|method| is_offered(settings, method)).map(|method| given_name(settings, method)).collect();
    names.sort();
    if let Some([name, ..]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        problems.push(SettingProblem::other("tools", format!("gives two tools the name `{name}`")));
    }
    problems
}

/// Returns the name of the tool of an RPC with these settings.
pub fn given_name(settings: &McpSettings, method: &Method) -> String {
    settings.tools.get(&method.label).and_then(|tool| tool.name.clone()).unwrap_or_else(|| tool_name(method))
}
