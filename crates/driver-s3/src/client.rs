//! The clients of one bucket.

use std::{fs, sync::Arc};

use aws_config::{BehaviorVersion, default_provider::credentials::DefaultCredentialsChain};
use aws_sdk_s3::{
    Client,
    config::{
        Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
        StalledStreamProtectionConfig,
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction, RetryConfig},
        timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

use crate::{
    connections::{CountedHttp, RequestCounters},
    settings::S3Settings,
};
use prism_call::Error;

/// Name of the source of credentials in the log of the SDK.
const SOURCE: &str = "prism.yaml";

/// The clients of a bucket. They share connections and credentials.
pub struct Clients {
    /// Repeats a request after every failure that may pass.
    pub repeating: Client,
    /// Repeats a request only if the service says that it did nothing. For requests with a condition: if the response of a write is lost and the
    /// write is repeated, the condition does not hold any longer, because the write itself has changed the object.
    pub careful: Client,
    /// What the connections of both do.
    pub connections: Arc<RequestCounters>,
}

/// Creates the clients. Does not connect; credentials are fetched by the first request, and again before they expire.
pub async fn connect(settings: &S3Settings) -> Result<Clients, Error> {
    let region = Region::new(settings.region.clone());
    let attempts = RetryConfig::standard().with_max_attempts(*settings.max_attempts);
    let timeouts =
        TimeoutConfig::builder().connect_timeout(*settings.connect_timeout).operation_attempt_timeout(*settings.request_timeout).build();
    let connections = Arc::new(RequestCounters::default());
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls_context(settings)?).build_https();
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region.clone())
        .credentials_provider(credentials(settings, region).await)
        .http_client(CountedHttp::new(http, connections.clone()))
        .retry_config(attempts)
        .timeout_config(timeouts)
        // Ends the read of a content that the service does not continue to send.
        .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(*settings.request_timeout).build())
        // Other services don't know the checksums that AWS has added since.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(settings.path_style.unwrap_or(settings.endpoint.is_some()));
    config.set_endpoint_url(settings.endpoint.clone());
    let config = config.build();
    let careful = config.to_builder().retry_classifier(OnlyIfRefused).build();
    Ok(Clients { repeating: Client::from_conf(config), careful: Client::from_conf(careful), connections })
}

/// Forbids to repeat a request of which nobody knows whether it took effect.
#[derive(Debug)]
struct OnlyIfRefused;

impl ClassifyRetry for OnlyIfRefused {
    fn classify_retry(&self, attempt: &InterceptorContext) -> RetryAction {
        let is_refused = attempt.response().is_some_and(|response| matches!(response.status().as_u16(), 429 | 503));
        if is_refused { RetryAction::NoActionIndicated } else { RetryAction::RetryForbidden }
    }

    fn name(&self) -> &'static str {
        "only if refused"
    }
}

async fn credentials(settings: &S3Settings, region: Region) -> SharedCredentialsProvider {
    if let (Some(key), Some(secret)) = (&settings.access_key_id, &settings.secret_access_key) {
        let token = settings.session_token.as_ref().map(|token| token.expose().to_owned());
        return SharedCredentialsProvider::new(Credentials::new(key.expose(), secret.expose(), token, None, SOURCE));
    }
    let mut chain = DefaultCredentialsChain::builder().region(region);
    if let Some(profile) = &settings.profile {
        chain = chain.profile_name(profile);
    }
    SharedCredentialsProvider::new(chain.build().await)
}

fn tls_context(settings: &S3Settings) -> Result<TlsContext, Error> {
    let invalid = |problem: String| Error::invalid("tls.ca_file", problem);
    let roots = match &settings.tls.ca_file {
        None => TrustStore::default(),
        Some(path) => TrustStore::empty().with_pem_certificate(fs::read(path).map_err(|error| invalid(format!("can't be read: {error}")))?),
    };
    TlsContext::builder().with_trust_store(roots).build().map_err(|error| invalid(format!("has no valid certificates: {error}")))
}
