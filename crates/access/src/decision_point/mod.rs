//! External decisions: a policy decision point says whether a caller may call an RPC, over the evaluation API of AuthZEN 1.0.
//!
//! A decision counts for a short time. Without one, a call is refused.

mod settings;
#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    HeaderValue,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use schemars::Schema;
use serde_json::{Map, Value, json};

use super::{
    cache::{DigestCache, digest_of},
    policy::CallFacts,
    service::{Service, ServiceUnavailable},
    single_flight::SingleFlight,
};
use prism_call::{AuthenticationMethod, Code, Error};
use prism_settings::{SettingProblem, parse_settings, settings_schema};

use settings::DecisionPointSettings;

/// Whether the caller may call, or no decision.
pub type ExternalDecision = Result<bool, ServiceUnavailable>;

/// A decision: known, or the work that leads to it.
pub enum Deciding {
    /// The decision.
    Known(bool),
    /// The work.
    Asking(Pin<Box<dyn Future<Output = ExternalDecision> + Send>>),
}

/// A policy decision point.
pub struct DecisionPoint {
    state: Arc<State>,
    /// The requests in progress. Equal ones share one.
    flights: SingleFlight<ExternalDecision>,
}

struct State {
    service: Service,
    authorization: Option<HeaderValue>,
    lifetime: Duration,
    /// Decisions, and until when they count.
    decisions: DigestCache<(bool, Instant)>,
}

/// Returns the JSON Schema of the settings.
pub fn schema() -> Schema {
    settings_schema::<DecisionPointSettings>()
}

/// Parses and checks the settings. Reads files, but does not connect. The error has every problem.
pub fn check(values: &Map<String, Value>) -> Result<(), Vec<SettingProblem>> {
    parse_settings::<DecisionPointSettings>(values).map(drop)
}

/// Returns the files that the settings name. If one of them changes, the decision point is opened again.
pub fn files(values: &Map<String, Value>) -> Vec<PathBuf> {
    values.get("ca_file").and_then(Value::as_str).map(Into::into).into_iter().collect()
}

impl DecisionPoint {
    /// Prepares the requests, with settings that were checked. The service is asked when the first call comes.
    pub fn open(values: &Map<String, Value>) -> Result<Self, Error> {
        let unusable = |problem: String| Error::new(Code::FailedPrecondition, "CONFIGURATION", format!("policy.decision_point: {problem}"));
        let settings: DecisionPointSettings = parse_settings(values).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(|problem| format!("`{}` {}", problem.setting, problem.kind)).collect();
            unusable(lines.join("; "))
        })?;
        Self::with_settings(&settings).map_err(unusable)
    }

    fn with_settings(settings: &DecisionPointSettings) -> Result<Self, String> {
        let authorization = settings.token.as_ref().map(|token| HeaderValue::try_from(format!("Bearer {}", token.expose())));
        let mut authorization = authorization.transpose().map_err(|_| "`token` can't be sent in a header".to_owned())?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        let checks = "decision point: calls".to_owned();
        let state = State {
            service: Service::new(checks, &settings.url, settings.ca_file.as_deref(), *settings.timeout)?,
            authorization,
            lifetime: *settings.cache_lifetime,
            decisions: DigestCache::default(),
        };
        Ok(Self { state: Arc::new(state), flights: SingleFlight::default() })
    }

    /// Returns how long a decision counts.
    pub fn lifetime(&self) -> Duration {
        self.state.lifetime
    }

    /// Decides about a call.
    pub fn decide(&self, call: &CallFacts<'_>) -> Deciding {
        let request = evaluation(call).to_string();
        let key = digest_of(request.as_bytes());
        if let Some((decision, until)) = self.state.decisions.get(&key)
            && until > Instant::now()
        {
            return Deciding::Known(decision);
        }
        let state = self.state.clone();
        let flight = self.flights.join(key, || async move {
            let (asked, decision) = state.ask(request).await?;
            if let Some(until) = asked.checked_add(state.lifetime) {
                state.decisions.put(key, (decision, until));
            }
            Ok(decision)
        });
        Deciding::Asking(Box::pin(async move { flight.await.unwrap_or(Err(ServiceUnavailable)) }))
    }
}

impl State {
    async fn ask(&self, request: String) -> Result<(Instant, bool), ServiceUnavailable> {
        let build = |builder: reqwest::RequestBuilder| {
            let builder = builder
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .header(ACCEPT, HeaderValue::from_static("application/json"))
                .body(request);
            match &self.authorization {
                Some(authorization) => builder.header(AUTHORIZATION, authorization.clone()),
                None => builder,
            }
        };
        self.service.ask(build, read_decision).await
    }
}

fn read_decision(body: &[u8]) -> Result<bool, &'static str> {
    let answer: Map<String, Value> = serde_json::from_slice(body).map_err(|_| "the answer is no JSON object")?;
    answer.get("decision").and_then(Value::as_bool).ok_or("the answer has no `decision` that is true or false")
}

/// Returns the request about a call. It has no values of the call's own request.
fn evaluation(call: &CallFacts<'_>) -> Value {
    let CallFacts { principal, peer, namespace, pattern, method, protocol } = call;
    let mut properties = json!({"method": principal.method.name()});
    if !principal.tenant.is_empty() {
        properties["tenant"] = (*principal.tenant).into();
    }
    if !principal.groups.is_empty() {
        properties["groups"] = principal.groups.iter().map(|group| &**group).collect();
    }
    if let Ok(claims @ Value::Object(_)) = serde_json::from_str(&principal.claims) {
        properties["claims"] = claims;
    }
    let kind = if principal.method == AuthenticationMethod::None { "anonymous" } else { "user" };
    json!({
        "subject": {"type": kind, "id": &*principal.subject, "properties": properties},
        "action": {"name": method.label, "properties": {"access": if method.read_only { "read" } else { "write" }}},
        "resource": {"type": "namespace", "id": namespace, "properties": {"pattern": pattern}},
        "context": {
            "protocol": protocol,
            "listener": &*peer.listener,
            "address": peer.address.map(|address| address.ip().to_canonical().to_string()),
            "tls": peer.tls.is_some(),
        },
    })
}
