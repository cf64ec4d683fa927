//! The introspection endpoint of an issuer (RFC 7662).

use std::time::{Duration, Instant, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use form_urlencoded::{Serializer, byte_serialize};
use http::{
    HeaderValue,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::settings::{ClientAuthentication, IntrospectionSettings};
use crate::{
    claims::{self, ClaimNames},
    service::Service,
};
use prism_call::{AuthenticationMethod, Principal};
use prism_settings::Secret;

/// Asks the endpoint who has a token.
pub struct Endpoint {
    service: Service,
    recheck_interval: Duration,
    /// The header `Authorization` of requests.
    authorization: Option<HeaderValue>,
    /// Id and secret in the body of requests.
    posted: Option<(String, Secret)>,
    issuer: Option<String>,
    audiences: Vec<String>,
    names: ClaimNames,
}

/// Why nobody is known to have a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The token is not active, or not for Prism.
    Rejected,
    /// The endpoint can't be asked now.
    Unavailable,
}

impl Endpoint {
    /// Prepares the requests.
    pub fn open(name: &str, settings: &IntrospectionSettings) -> Result<Self, String> {
        let id = settings.client_id.clone().unwrap_or_default();
        let checks = format!("authenticator {name}: tokens");
        Ok(Self {
            service: Service::new(checks, &settings.url, settings.ca_file.as_deref(), *settings.timeout)?,
            recheck_interval: *settings.recheck_interval,
            authorization: authorization(settings.client_authentication, &id, &settings.client_secret)?,
            posted: (settings.client_authentication == ClientAuthentication::Post).then(|| (id, settings.client_secret.clone())),
            issuer: settings.issuer.clone(),
            audiences: settings.audiences.clone(),
            names: settings.claim_names(),
        })
    }

    /// Returns the caller who has a token.
    pub async fn ask(&self, token: &str) -> Result<Principal, Failure> {
        let request = |request: reqwest::RequestBuilder| {
            let request = request
                .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
                .header(ACCEPT, HeaderValue::from_static("application/json"))
                .body(self.form(token));
            match &self.authorization {
                Some(authorization) => request.header(AUTHORIZATION, authorization.clone()),
                None => request,
            }
        };
        let (asked, claims) = self.service.ask(request, read_answer).await.map_err(|_| Failure::Unavailable)?;
        self.principal(&claims, asked).ok_or(Failure::Rejected)
    }

    /// Returns the body of a request.
    fn form(&self, token: &str) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", "access_token");
        if let Some((id, secret)) = &self.posted {
            form.append_pair("client_id", id).append_pair("client_secret", secret.expose());
        }
        form.finish()
    }

    /// Returns the caller with an active token, or `None` if it is not active or not for Prism.
    fn principal(&self, claims: &Map<String, Value>, asked: Instant) -> Option<Principal> {
        if claims.get("active") != Some(&Value::Bool(true)) || claims::is_bound(claims) {
            return None;
        }
        let expires = match claims.get("exp") {
            Some(exp) => Some(claims::future_instant(exp, Duration::ZERO)?),
            None => None,
        };
        if claims.get("nbf").is_some_and(|from| claims::time(from).is_none_or(|from| from > SystemTime::now())) {
            return None;
        }
        let has = |name: &str, wanted: &str| match claims.get(name) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Array(items)) => items.iter().any(|item| item == wanted),
            _ => false,
        };
        if self.issuer.as_ref().is_some_and(|issuer| claims.get("iss").is_none_or(|given| given != issuer.as_str())) {
            return None;
        }
        if !self.audiences.is_empty() && !self.audiences.iter().any(|audience| has("aud", audience)) {
            return None;
        }
        let principal = self.names.principal(claims, AuthenticationMethod::Introspection)?;
        Some(Principal { expires, check_again: asked.checked_add(self.recheck_interval), ..principal })
    }
}

/// Reads an answer, whether the token is active or not. What is wrong with it has nothing of it, because it is about the caller.
fn read_answer(body: &[u8]) -> Result<Map<String, Value>, &'static str> {
    let answer: Map<String, Value> = serde_json::from_slice(body).map_err(|_| "the answer is no JSON object")?;
    if answer.get("active").is_some_and(Value::is_boolean) { Ok(answer) } else { Err("the answer has no `active` that is true or false") }
}

/// Returns the header `Authorization` of requests, if this kind of authentication has one.
fn authorization(kind: ClientAuthentication, id: &str, secret: &Secret) -> Result<Option<HeaderValue>, String> {
    let text = match kind {
        ClientAuthentication::Post => return Ok(None),
        ClientAuthentication::Bearer => Zeroizing::new(format!("Bearer {}", secret.expose())),
        ClientAuthentication::Basic => {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret.expose())));
            Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)))
        }
    };
    let mut value = HeaderValue::try_from(&**text).map_err(|_| "`client_secret` can't be sent in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}
