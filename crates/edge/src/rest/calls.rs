//! The calls of a case: the steps before its RPC (`first`), the RPC, and further attempts (`again`).

use std::pin::pin;

use bytes::Bytes;
use http::HeaderMap;

use super::exchange::{CallResult, Exchange, GatherLimit, gather};
use prism_call::{Admitted, Code, Error, IDEMPOTENCY_KEY, Output, message_too_large};
use prism_frontend::{
    expression::SharedValue,
    mapping::{CallPlan, CallScope, EndpointCase, NamedValues, ReceivedRequest, Step, StepAction, StepReply, holds},
};

/// How often a case runs at most, if its condition `again` stays true.
const MAX_ATTEMPTS: usize = 32;

/// Makes the calls of a case. The body of the request was read before.
pub async fn run(
    exchange: &Exchange<'_>,
    admitted: &mut Admitted<'_>,
    (case, plan): (&EndpointCase, &CallPlan),
    received: &ReceivedRequest<'_>,
    headers: HeaderMap,
) -> Result<CallResult, Error> {
    if plan.has_several_calls() && headers.contains_key(IDEMPOTENCY_KEY) {
        let message = "this operation makes several calls, so it can't be executed once by an idempotency key; leave the key out";
        return Err(Error::new(Code::InvalidArgument, "IDEMPOTENCY_KEY_UNSUPPORTED", message));
    }
    let limit = exchange.namespace.limits.max_message_bytes;
    for _ in 0..MAX_ATTEMPTS {
        let steps = run_steps(exchange, admitted, (case, plan), received).await?;
        let input = {
            let named = NamedValues::new(&case.named);
            let scope = exchange.scope(admitted.proof(), Some(received), None);
            plan.input(&CallScope { named: Some(&named), results: Some(&steps), ..scope }, limit)?
        };
        let read = pin!(async { Ok(input) });
        let reply = admitted.call(&plan.method, headers.clone(), read).await?;
        if let (Some(again), Output::One(message)) = (&plan.again, &reply.output) {
            let message = message.to_bytes();
            let named = NamedValues::new(&case.named);
            let scope = exchange.scope(admitted.proof(), Some(received), None);
            let reply = Some((plan.output, &*message));
            if holds(again, &CallScope { named: Some(&named), results: Some(&steps), reply, ..scope })? {
                continue;
            }
        }
        return Ok(CallResult { output: reply.output, headers: reply.headers, trailers: reply.trailers, steps });
    }
    let message = format!("other clients changed the data at the same time in each of {MAX_ATTEMPTS} attempts; try again");
    Err(Error::new(Code::Aborted, "TOO_MUCH_CONTENTION", message))
}

/// Runs the steps of a case, one after another. Returns their results by their names.
async fn run_steps(
    exchange: &Exchange<'_>,
    admitted: &mut Admitted<'_>,
    (case, plan): (&EndpointCase, &CallPlan),
    received: &ReceivedRequest<'_>,
) -> Result<Vec<(String, SharedValue)>, Error> {
    let mut results = Vec::with_capacity(plan.first.len());
    let mut limit = GatherLimit::new(exchange.api.max_gathered);
    for step in &plan.first {
        let requests = {
            let named = NamedValues::new(&case.named);
            let scope = exchange.scope(admitted.proof(), Some(received), None);
            step.requests(&CallScope { named: Some(&named), results: Some(&results), ..scope })?
        };
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            replies.push(match request {
                None => StepReply::Skipped,
                Some(request) => call(exchange, admitted, step, request, &mut limit).await?,
            });
        }
        let result = step.result(exchange.api.types, &replies)?;
        results.push((step.name.clone(), SharedValue::new(result)));
    }
    Ok(results)
}

async fn call(
    exchange: &Exchange<'_>,
    admitted: &mut Admitted<'_>,
    step: &Step,
    request: Bytes,
    limit: &mut GatherLimit,
) -> Result<StepReply, Error> {
    let StepAction::Call(call) = &step.action else { return Ok(StepReply::Skipped) };
    let max_bytes = exchange.namespace.limits.max_message_bytes;
    if request.len() > max_bytes {
        return Err(message_too_large(max_bytes));
    }
    // A handler that never waits would neither notice the deadline nor let other requests run.
    admitted.check_deadline()?;
    tokio::task::consume_budget().await;
    match admitted.ask(&call.method, request).await?.output {
        Output::One(message) => {
            let message = message.to_bytes();
            limit.take_bytes(message.len())?;
            Ok(StepReply::One(message))
        }
        Output::Stream(messages) => {
            let messages = admitted.within_deadline(gather(admitted, messages, limit)).await?;
            Ok(StepReply::Many(messages))
        }
    }
}
