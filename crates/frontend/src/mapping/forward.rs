//! Requests that are served as requests of another operation (`forward`).

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::Method as Verb;

use super::{
    MAX_GATHERED_BYTES,
    scope::CallScope,
    step::{MAX_EACH, too_large, too_many},
    template::{ValueSource, ValueTemplate},
};
use crate::{json::JsonStyle, template::PathTemplate};
use prism_call::Error;

/// What is forwarded to which operation.
#[derive(Debug)]
pub struct ForwardPlan {
    /// The name of the operation.
    pub to: String,
    /// The list with one request for each item, and its text; `None`: there is one request.
    pub each: Option<(ValueSource, String)>,
    /// The body of a request.
    pub body: ValueTemplate,
}

/// The operation that serves forwarded requests.
#[derive(Debug)]
pub struct ForwardTarget<E> {
    /// The operation.
    pub endpoint: Arc<E>,
    /// Its method.
    pub method: Verb,
    /// Its path, which has no variables.
    pub path: String,
    /// The path as a template.
    pub template: PathTemplate,
}

/// The operations that serve forwarded requests, by their names.
pub type ForwardTargets<E> = HashMap<String, ForwardTarget<E>>;

impl ForwardPlan {
    /// Builds the bodies of the requests, as JSON.
    pub fn bodies(&self, scope: &CallScope<'_>) -> Result<Vec<Bytes>, Error> {
        let (mut bodies, mut left) = (Vec::new(), MAX_GATHERED_BYTES);
        let mut add = |scope: CallScope<'_>| {
            if bodies.len() == MAX_EACH {
                return Err(too_many());
            }
            let mut body = Vec::new();
            if !self.body.json(&scope, JsonStyle { numbers: true, ..JsonStyle::default() }, &mut body)? {
                body.extend_from_slice(b"null");
            }
            left = left.checked_sub(body.len()).ok_or_else(too_large)?;
            bodies.push(Bytes::from(body));
            Ok(())
        };
        match &self.each {
            None => add(*scope)?,
            Some((list, _)) => list.each(scope, &mut add)?,
        }
        Ok(bodies)
    }

    /// Whether it uses the body of the request.
    pub fn reads_body(&self) -> bool {
        self.body.reads_body() || self.each.as_ref().is_some_and(|(list, _)| list.reads_body())
    }
}
