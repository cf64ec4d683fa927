//! Maps errors of librdkafka and of Kafka to [`Error`]. Nothing else in this driver does.

use std::time::Duration;

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Kafka};

use prism_call::{Code, Error};

/// How long callers should wait after a temporary error.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Returns the code of an error, if it has one.
pub fn code(error: &KafkaError) -> Option<Kafka> {
    error.rdkafka_error_code()
}

/// Whether the same request may succeed a little later.
pub fn is_temporary(error: &KafkaError) -> bool {
    !matches!(map(error, 0).code(), Code::FailedPrecondition | Code::InvalidArgument | Code::Internal | Code::ResourceExhausted)
}

/// Maps the error of a request.
pub fn map(error: &KafkaError, max_value_bytes: u64) -> Error {
    let mapped = match code(error) {
        Some(Kafka::MessageSizeTooLarge | Kafka::InvalidMessageSize) => too_large(max_value_bytes),
        Some(Kafka::QueueFull) => Error::new(
            Code::ResourceExhausted,
            "BACKEND_FULL",
            "the queue of records that wait for Kafka is full; write more slowly, or raise the setting queue_bytes",
        ),
        Some(Kafka::PolicyViolation | Kafka::ThrottlingQuotaExceeded) => {
            Error::new(Code::ResourceExhausted, "BACKEND_FULL", "a policy or a quota of the Kafka cluster refuses the request")
        }
        Some(Kafka::Authentication | Kafka::SaslAuthenticationFailed | Kafka::UnsupportedSASLMechanism | Kafka::IllegalSASLState) => {
            failed_precondition(
                "BACKEND_AUTHENTICATION",
                "Kafka refused the login of Prism; check the settings username, password and sasl".to_owned(),
            )
        }
        Some(Kafka::SSL) => failed_precondition(
            "BACKEND_CERTIFICATE",
            "the certificate of Kafka or of Prism is not trusted; check the settings of tls, and that url has the host name in the certificate"
                .to_owned(),
        ),
        Some(
            Kafka::TopicAuthorizationFailed
            | Kafka::GroupAuthorizationFailed
            | Kafka::ClusterAuthorizationFailed
            | Kafka::TransactionalIdAuthorizationFailed,
        ) => failed_precondition(
            "BACKEND_PERMISSION",
            "Kafka does not allow this user an operation that Prism needs; docs/backends/kafka.md lists them".to_owned(),
        ),
        Some(Kafka::InvalidReplicationFactor) => failed_precondition(
            "BACKEND_MISCONFIGURED",
            "the cluster has fewer brokers than the setting replicas asks for".to_owned(),
        ),
        Some(Kafka::InvalidConfig | Kafka::UnsupportedVersion | Kafka::UnsupportedFeature) => {
            failed_precondition("BACKEND_UNSUPPORTED", "the cluster refuses a request that Prism needs; Kafka 3.5 or later is required".to_owned())
        }
        Some(Kafka::InvalidTopic) => Error::internal("a name of a Kafka topic of Prism is invalid"),
        _ => unavailable("Kafka can't be reached or is changing its leaders; a write may or may not have happened"),
    };
    mapped.with_source(error.to_string())
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`
pub fn unavailable(message: &'static str) -> Error {
    Error::backend_unavailable(message, RETRY_AFTER)
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: the request has no response in time.
pub fn no_response() -> Error {
    unavailable("Kafka did not respond in time; a write may or may not have happened")
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: the backend was closed.
pub fn backend_closed() -> Error {
    Error::backend_unavailable("the Kafka backend is closed because the gateway is stopping", Duration::from_secs(1))
}

/// A client of librdkafka can't be made.
pub fn no_client(error: &KafkaError) -> Error {
    let problem = "librdkafka does not accept the settings; check those of tls and sasl".to_owned();
    failed_precondition("BACKEND_MISCONFIGURED", problem).with_source(error.to_string())
}

/// A stored record that Prism did not write.
pub fn foreign_record() -> Error {
    failed_precondition(
        "BACKEND_KEY_CONFLICT",
        "a Kafka topic of Prism holds a record that Prism did not write; use another topic_prefix".to_owned(),
    )
}

/// `UNIMPLEMENTED CAPABILITY_UNAVAILABLE` for one field of a request.
pub fn unsupported(field: &str, problem: &str) -> Error {
    Error::new(Code::Unimplemented, "CAPABILITY_UNAVAILABLE", format!("{field}: {problem}")).with_violation(field, problem)
}

fn too_large(limit: u64) -> Error {
    Error::new(
        Code::InvalidArgument,
        "VALUE_TOO_LARGE",
        format!("the record is larger than Kafka accepts (max.message.bytes of the topic); at most {limit} bytes are allowed"),
    )
    .with("limit", limit.to_string())
}

fn failed_precondition(reason: &'static str, message: String) -> Error {
    Error::new(Code::FailedPrecondition, reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_kafka_have_a_meaning() {
        for (code, reason) in [
            (Kafka::MessageSizeTooLarge, "VALUE_TOO_LARGE"),
            (Kafka::QueueFull, "BACKEND_FULL"),
            (Kafka::SaslAuthenticationFailed, "BACKEND_AUTHENTICATION"),
            (Kafka::SSL, "BACKEND_CERTIFICATE"),
            (Kafka::TopicAuthorizationFailed, "BACKEND_PERMISSION"),
            (Kafka::AllBrokersDown, "BACKEND_UNAVAILABLE"),
            (Kafka::NotLeaderForPartition, "BACKEND_UNAVAILABLE"),
            (Kafka::MessageTimedOut, "BACKEND_UNAVAILABLE"),
        ] {
            assert_eq!(map(&KafkaError::MessageProduction(code), 1).reason(), reason, "{code:?}");
        }
        assert!(is_temporary(&KafkaError::Global(Kafka::AllBrokersDown)));
        assert!(!is_temporary(&KafkaError::Global(Kafka::SSL)));
    }
}
