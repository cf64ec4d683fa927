//! Runs `connectrpc/conformance` for gRPC, gRPC-Web and Connect against the real edge and pipeline. The runner starts this program again as the
//! server under test, with `--serve`.
//!
//! All cases must pass, and the number of cases must be right. `scripts/install-tools conformance` installs the runner.

mod service;

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    path::Path,
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use conformance_contract as contract;
use prism::{
    call::{AccessLog, CallLimits, Method, Metrics, Namespace, Pipeline},
    edge::{
        AllowedHosts, Binding, Bindings, ClientCertificates, ClientFiles, Cors, Drain, Edge, Frontend, Health, ListenerSettings,
        ListenerTls, Served, Services, TlsFiles, bind, load_tls,
    },
    frontend::message_types::MessageTypes,
};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use tokio_util::sync::CancellationToken;

/// Number of cases in release 1.0.6 of the runner.
const CASES: usize = 4225;

fn main() -> ExitCode {
    if env::args().any(|argument| argument == "--serve") {
        return serve().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    // `cargo test -- --list` also calls this program.
    if env::args().any(|argument| argument == "--list") {
        println!("conformance: test");
        return ExitCode::SUCCESS;
    }
    run()
}

fn run() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let local = root.join(".tools/bin/connectconformance");
    let runner = if local.exists() { local } else { "connectconformance".into() };
    let server = env::current_exe().expect("the test knows its own path");
    let output = Command::new(&runner)
        .args(["--mode", "server", "--conf"])
        .arg(root.join("tests/conformance/config.yaml"))
        .arg("--")
        .arg(server)
        .arg("--serve")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            eprintln!("connectconformance can't be started ({error}); scripts/install-tools installs it");
            return ExitCode::FAILURE;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    print!("{text}");
    let passed = text
        .lines()
        .find_map(|line| line.strip_prefix("Total cases: ").and(text.lines().find(|line| line.contains(" passed, "))))
        .and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    let ok = output.status.success() && passed == Some(CASES);
    println!("conformance: {} of {CASES} cases passed", passed.unwrap_or(0));
    println!("{} passed, {} failed", passed.unwrap_or(0), CASES - passed.unwrap_or(0).min(CASES));
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[tokio::main]
async fn serve() -> io::Result<()> {
    let request = read_order()?;
    let pool = DescriptorPool::decode(contract::DESCRIPTORS).map_err(io::Error::other)?;
    let methods =
        Method::of_service(&pool, "connectrpc.conformance.v1.ConformanceService").ok_or_else(|| io::Error::other("no service"))?;
    let metrics = Metrics::new().map_err(io::Error::other)?;
    let limits = CallLimits { max_message_bytes: request.message_receive_limit as usize, ..CallLimits::default() };
    let namespace = Arc::new(Namespace::new("conformance", "conformance", methods, Arc::new(service::Service), limits, &metrics));
    // The types live as long as the process.
    let types = Box::leak(Box::new(MessageTypes::of(&pool)));
    let bindings = [Frontend::Grpc(()), Frontend::GrpcWeb(()), Frontend::Connect(types)].map(|frontend| Binding {
        host: None,
        base_path: "/conformance".into(),
        namespace: namespace.clone(),
        frontend,
        documentation: None,
    });
    let pipeline = Arc::new(Pipeline::new(AccessLog::Off, &metrics, CancellationToken::new()));
    let served = Served {
        bindings: Bindings::new(bindings.into()),
        services: Services::new(&Health::new(), Vec::new(), CancellationToken::new()),
        cors: Cors::new(Box::new(|_| true), 0),
        hosts: AllowedHosts::any(),
        demo: None,
    };
    let edge = Arc::new(Edge::new(pipeline, served));
    let bound = bind("conformance", ([127, 0, 0, 1], 0).into()).await.map_err(io::Error::other)?;
    let settings = ListenerSettings { tls: tls(&request)?, ..ListenerSettings::default() };
    let pem_cert = request.server_creds.unwrap_or_default().cert;
    let answer = contract::ServerCompatResponse { host: "127.0.0.1".into(), port: bound.address.port().into(), pem_cert };
    write_answer(&answer)?;
    // The runner kills this process at the end. If the runner itself is killed, this process ends after a while.
    let serving = bound.serve(edge, Arc::new(ArcSwap::from_pointee(settings)), metrics.connections("conformance"), None, Drain::default());
    tokio::select! {
        () = serving => {}
        () = tokio::time::sleep(Duration::from_mins(10)) => {}
    }
    Ok(())
}

/// Returns the TLS of the listener, if the runner asks for it.
fn tls(request: &contract::ServerCompatRequest) -> io::Result<Option<ListenerTls>> {
    let Some(own) = request.server_creds.as_ref().filter(|_| request.use_tls) else { return Ok(None) };
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, text).map(|()| path)
    };
    let authority = &request.client_tls_cert;
    let clients = (!authority.is_empty()).then(|| write("clients.pem", authority)).transpose()?;
    let files = TlsFiles {
        certificate: write("certificate.pem", &own.cert)?,
        key: write("key.pem", &own.key)?,
        clients: clients.map(|authorities| ClientFiles { authorities, revocations: Vec::new(), mode: ClientCertificates::Required }),
    };
    load_tls(&files).map(Some).map_err(|problems| io::Error::other(format!("{problems:?}")))
}

/// Each message is preceded by its size: 4 bytes, big-endian.
fn read_order() -> io::Result<contract::ServerCompatRequest> {
    let mut size = [0; 4];
    io::stdin().read_exact(&mut size)?;
    let mut message = vec![0; u32::from_be_bytes(size) as usize];
    io::stdin().read_exact(&mut message)?;
    contract::ServerCompatRequest::decode(message.as_slice()).map_err(io::Error::other)
}

fn write_answer(answer: &contract::ServerCompatResponse) -> io::Result<()> {
    let message = answer.encode_to_vec();
    let mut out = io::stdout().lock();
    out.write_all(&u32::try_from(message.len()).map_err(io::Error::other)?.to_be_bytes())?;
    out.write_all(&message)?;
    out.flush()
}
