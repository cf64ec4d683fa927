//! The traces and metrics that an OpenTelemetry collector receives from gateways.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{Metric, metric::Data, number_data_point},
    trace::v1::{Span, status::StatusCode},
};
use prism::proto::patterns::keyvalue::v1::*;
use test_support::{
    gateway::{Gateway, Setup},
    http,
    poll::until,
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Server, server::TcpIncoming},
};

use super::wire;

/// An OTLP receiver that keeps everything.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Received>>);

#[derive(Default)]
struct Received {
    /// The spans, with the attributes of their resource.
    spans: Vec<(BTreeMap<String, String>, Span)>,
    metrics: Vec<(BTreeMap<String, String>, Metric)>,
    headers: Vec<MetadataMap>,
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref().unwrap().value.as_ref().unwrap()))).collect()
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap();
        received.headers.push(request.metadata().clone());
        for resource in request.into_inner().resource_spans {
            let about = attributes(&resource.resource.unwrap_or_default().attributes);
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            received.spans.extend(spans.map(|span| (about.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(&self, request: Request<ExportMetricsServiceRequest>) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap();
        received.headers.push(request.metadata().clone());
        for resource in request.into_inner().resource_metrics {
            let about = attributes(&resource.resource.unwrap_or_default().attributes);
            let metrics = resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            received.metrics.extend(metrics.map(|metric| (about.clone(), metric)));
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = Self::default();
        collector.serve(listener);
        (collector, address)
    }

    fn serve(&self, listener: TcpListener) {
        let server = Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);
    }

    fn spans(&self) -> Vec<(BTreeMap<String, String>, Span)> {
        self.0.lock().unwrap().spans.clone()
    }
}

const STORE: &str = "
backends: {ram: {type: memory}}
namespaces: [{name: store, pattern: keyvalue, slots: {storage: ram}}]
";
const TRACE: [u8; 16] = [0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36];
const CALLER: [u8; 8] = [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[tokio::test]
async fn a_call_is_a_span_below_its_callers_on_every_gateway() {
    let (collector, address) = Collector::start().await;
    let mut behind =
        Gateway::start(&format!("telemetry: {{otlp: {{endpoint: 'http://{address}', metrics: false, service_name: behind}}}}{STORE}"))
            .await;
    let mut front = Gateway::start(&format!(
        "telemetry: {{otlp: {{endpoint: 'http://{address}', headers: {{x-tenant: one}}, sample: 0, metrics: false}}}}
namespaces: [{{name: front, pattern: keyvalue, remote: {{url: '{}', namespace: store}}}}]",
        behind.url()
    ))
    .await;
    let get = |traceparent: Option<&'static str>| {
        let mut headers = vec![("x-request-id", "call-1")];
        headers.extend(traceparent.map(|value| ("traceparent", value)));
        async move { http::send(front.address, "GET", "/front/v1/values/absent", &headers, "").await.unwrap() }
    };
    assert_eq!(get(Some(SAMPLED)).await.status, 404);
    assert_eq!(get(Some(NOT_SAMPLED)).await.status, 404);
    assert_eq!(get(None).await.status, 404, "not sampled: the share of new traces is 0");
    // The gateway sends what is left when it ends.
    assert!(front.terminate().await.success());
    assert!(behind.terminate().await.success());

    let spans = collector.spans();
    let span_of = |service: &str| {
        let mut spans = spans.iter().filter(|(about, _)| about["service.name"] == service);
        let found = spans.next().unwrap_or_else(|| panic!("no span of {service}: {:?}", collector.spans()));
        assert!(spans.next().is_none(), "only one call is sampled");
        found
    };
    let ((about, front), (_, behind)) = (span_of("prism"), span_of("behind"));
    assert_eq!(about["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&front.trace_id[..], &front.parent_span_id[..]), (&TRACE[..], &CALLER[..]));
    assert_eq!((&behind.trace_id[..], &behind.parent_span_id[..]), (&TRACE[..], &front.span_id[..]));
    for (span, namespace, protocol) in [(front, "front", "rest"), (behind, "store", "grpc")] {
        assert_eq!(span.name, "prism.patterns.keyvalue.v1.KeyValueService/Retrieve");
        assert_eq!(span.kind, 2, "a server");
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
        let expected = [
            ("prism.error.reason", "KEY_NOT_FOUND"),
            ("prism.namespace", namespace),
            ("prism.protocol", protocol),
            ("prism.request_id", "call-1"),
            ("rpc.grpc.status_code", "5"),
            ("rpc.method", "Retrieve"),
            ("rpc.service", "prism.patterns.keyvalue.v1.KeyValueService"),
            ("rpc.system", "grpc"),
        ];
        assert_eq!(attributes(&span.attributes), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        // An error that the client caused does not mark the span as failed.
        assert_eq!(span.status.as_ref().map_or(0, |status| status.code), StatusCode::Unset as i32);
    }
    let headers = std::mem::take(&mut collector.0.lock().unwrap().headers);
    assert!(headers.iter().any(|headers| headers.get("x-tenant").is_some_and(|value| value == "one")), "{headers:?}");
}

#[tokio::test]
async fn the_metrics_of_the_metrics_page_are_exported_with_the_same_names_and_labels() {
    let (collector, address) = Collector::start().await;
    let settings = format!("telemetry: {{otlp: {{endpoint: 'http://{address}', traces: false, interval: 50ms}}}}{STORE}");
    let gateway = Gateway::start(&settings).await;
    let store = wire::frame(&StoreRequest { key: "a".to_owned(), ..StoreRequest::default() });
    for _ in 0..2 {
        wire::grpc(gateway.address, &wire::path("Store"), &[], store.clone()).await;
    }
    let wanted = [("code", "OK"), ("method", "Store"), ("namespace", "store"), ("protocol", "grpc")];
    let wanted: BTreeMap<_, _> = wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    until("exported", || async {
        let received = collector.0.lock().unwrap();
        let calls = received.metrics.iter().rev().find(|(_, metric)| metric.name == "prism_calls_total");
        let Some((about, Metric { data: Some(Data::Sum(calls)), .. })) = calls else { return Err("nothing of it".to_owned()) };
        assert!(calls.is_monotonic && about["service.name"] == "prism" && about["service.instance.id"].len() == 32);
        let point = calls.data_points.iter().find(|point| attributes(&point.attributes) == wanted);
        match point.and_then(|point| point.value) {
            Some(number_data_point::Value::AsDouble(2.0)) => Ok(()),
            other => Err(format!("{other:?} of {calls:?}")),
        }
    })
    .await;
    let page = gateway.metrics().await;
    let received = collector.0.lock().unwrap();
    let mut names: Vec<_> = received.metrics.iter().map(|(_, metric)| metric.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let on_the_page = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|line| line.split(' ').next().unwrap());
    assert_eq!(names, on_the_page.collect::<Vec<_>>());
    let took = received.metrics.iter().rev().find(|(_, metric)| metric.name == "prism_call_duration_seconds");
    let Some((_, Metric { data: Some(Data::Histogram(took)), unit, .. })) = took else { panic!("{took:?}") };
    let point = &took.data_points[0];
    assert_eq!((unit.as_str(), point.count, point.bucket_counts.len()), ("s", 2, point.explicit_bounds.len() + 1));
    assert!(received.spans.is_empty());
}

#[tokio::test]
async fn a_collector_that_is_down_is_logged_once_and_delays_no_call() {
    // An address where nothing listens yet.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let config = format!("telemetry: {{otlp: {{interval: 50ms}}}}{STORE}");
    let endpoint = format!("http://{address}");
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let gateway = Setup { config: &config, env: &env, ..Setup::default() }.launch();
    gateway.ready().await;
    let get = || async { http::get(gateway.address, "/store/v1/values/absent").await.unwrap().status };
    let outages = || {
        let log = gateway.log();
        let count = |text: &str| log.matches(text).count();
        (count("metrics can't be exported to the collector"), count("traces can't be exported to the collector"))
    };
    until("logged", || async {
        assert_eq!(get().await, 404);
        if outages() == (1, 1) { Ok(()) } else { Err(gateway.log()) }
    })
    .await;
    for _ in 0..20 {
        assert_eq!(get().await, 404);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(outages(), (1, 1), "{}", gateway.log());

    let collector = Collector::default();
    collector.serve(TcpListener::bind(address).await.unwrap());
    until("exported again", || async {
        assert_eq!(get().await, 404);
        let log = gateway.log();
        let again = ["metrics", "traces"].iter().all(|signal| log.contains(&format!("{signal} are exported to the collector again")));
        if again && !collector.spans().is_empty() { Ok(()) } else { Err(log) }
    })
    .await;
}
