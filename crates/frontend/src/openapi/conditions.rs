//! Preconditions: `If-Match` and `If-None-Match` for routes that read a revision or write conditionally.

use prost_reflect::MethodDescriptor;
use serde_json::{Value, json};

use super::{RPC, options};

/// Returns the header parameters of an operation, and the 412 response for a precondition that fails.
pub fn parameters(method: &MethodDescriptor, reads: bool, tagged: bool) -> (Vec<Value>, Option<Value>) {
    let failed = json!({"$ref": "#/components/responses/PreconditionFailed"});
    if reads {
        if !tagged {
            return (Vec::new(), None);
        }
        let known = header("If-None-Match", "Tags of what the client has; if one of them is current, the answer is 304.");
        let wanted = header("If-Match", "Tags of which one must be current; else the answer is 412.");
        return (vec![wanted, known], Some(failed));
    }
    let Some(precondition) = options::precondition(method) else { return (Vec::new(), None) };
    let mut parameters = vec![header("If-Match", "Only if one of these tags is current, or, for `*`, if there is something.")];
    if precondition.absent {
        let mut absent = header("If-None-Match", "Only if there is nothing. Not together with `If-Match`.");
        absent["schema"] = json!({"type": "string", "const": "*"});
        absent["example"] = "*".into();
        parameters.push(absent);
    }
    // Tailoring removes these parts if the namespace lacks that RPC, because requests with these headers are then refused.
    let mut failed = failed;
    for one in parameters.iter_mut().chain([&mut failed]) {
        one[RPC] = json!([precondition.rpc]);
    }
    (parameters, Some(failed))
}

fn header(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "header",
        "description": format!("{description} `*`, or tags in double quotes, separated by commas."),
        "schema": {"type": "string"},
        "example": "\"1\"",
    })
}
