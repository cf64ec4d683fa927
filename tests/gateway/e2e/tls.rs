//! A listener with TLS, used by curl and a gRPC client.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use prism::proto::patterns::keyvalue::v1::*;
use test_support::{
    client::Client,
    gateway::{Gateway, Setup},
    http,
    poll::until_true,
    servers::Certificate,
};
use tonic::transport::{Certificate as Authority, ClientTlsConfig, Endpoint};

fn config(certificate: &Path, key: &Path) -> String {
    format!(
        "
listeners:
  main: {{tls: {{certificate: '{}', key: '{}'}}}}
backends:
  ram: {{type: memory}}
namespaces:
  - {{name: store, pattern: keyvalue, slots: {{storage: ram}}}}
",
        certificate.display(),
        key.display()
    )
}

/// Runs curl, which trusts this certificate only.
fn curl(gateway: &Gateway, trusted: &Path, more: &[&str]) -> Output {
    let port = gateway.address.port();
    Command::new("curl")
        .args(["-sS", "--cacert", trusted.to_str().unwrap(), "-w", "\n%{http_version} %{http_code}"])
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .args(more)
        .arg(format!("https://localhost:{port}/store/v1/values/a"))
        .output()
        .unwrap()
}

/// Returns a gRPC client, which trusts this certificate only.
fn client(gateway: &Gateway, trusted: &Path) -> Client {
    let authority = ClientTlsConfig::new().ca_certificate(Authority::from_pem(fs::read(trusted).unwrap())).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", gateway.address)).unwrap().tls_config(authority).unwrap();
    Client { channel: endpoint.connect_lazy(), namespace: "store".to_owned() }
}

#[tokio::test]
async fn alpn_selects_the_http_version() {
    let folder = tempfile::tempdir().unwrap();
    let Certificate { certificate, key } = Certificate::make(folder.path()).unwrap();
    let gateway = Gateway::start(&config(&certificate, &key)).await;
    assert!(gateway.output().contains(&format!("https://{}", gateway.address)), "{}", gateway.output());

    let curl = |version: &str, more: &[&str]| {
        let output = curl(&gateway, &certificate, &[&[version], more].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let stored = curl("--http2", &["-X", "PUT", "-d", "hello"]);
    assert!(stored.ends_with("\n2 200"), "{stored}");
    assert_eq!(curl("--http1.1", &[]), "hello\n1.1 200");

    let client = client(&gateway, &certificate);
    let response: RetrieveResponse = client.call("Retrieve", RetrieveRequest { key: "a".to_owned() }).await.unwrap().into_inner();
    assert_eq!(response.value, "hello");

    assert!(http::get(gateway.address, "/store/v1/values/a").await.is_err(), "plain HTTP is refused");
}

#[test]
fn files_that_can_not_be_used_are_named() {
    let files = tempfile::tempdir().unwrap();
    let made = Certificate::make(files.path()).unwrap();
    let others = files.path().join("others");
    fs::create_dir(&others).unwrap();
    let other = Certificate::make(&others).unwrap();
    let (absent, empty) = (files.path().join("absent.pem"), files.path().join("empty.pem"));
    fs::write(&empty, "").unwrap();

    for (certificate, key, words) in [
        (&absent, &made.key, ["prism.yaml:3:", "absent.pem", "can't be read"]),
        (&made.certificate, &absent, ["prism.yaml:3:", "absent.pem", "can't be read"]),
        (&empty, &made.key, ["prism.yaml:3:", "empty.pem", "no certificate"]),
        (&made.certificate, &empty, ["prism.yaml:3:", "empty.pem", "no private key"]),
        (&made.certificate, &made.certificate, ["prism.yaml:3:", "server.pem", "no private key"]),
        (&made.certificate, &other.key, ["prism.yaml:3:", "others/server.key", "does not fit"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = config(certificate, key);
        let setup = Setup { config: &config, args: &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], ..Setup::default() };
        let output = setup.refused(folder.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("error: "), "{said}");
        for word in words {
            assert!(said.contains(word), "no {word:?} in: {said}");
        }
    }
}

#[tokio::test]
async fn clients_present_certificates() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [server, known, unknown] = [0, 1, 2].map(|index: usize| Certificate::make(folders[index].path()).unwrap());
    for (mode, without) in [("", false), (", client_certificates: required", false), (", client_certificates: optional", true)] {
        let tls = format!("key: '{}', client_ca: '{}'{mode}", server.key.display(), known.certificate.display());
        let gateway =
            Gateway::start(&config(&server.certificate, &server.key).replace(&format!("key: '{}'", server.key.display()), &tls)).await;
        let served = |identity: Option<&Certificate>| {
            let files = identity.map(|identity| [identity.certificate.to_str().unwrap(), identity.key.to_str().unwrap()]);
            let more = files.map_or(Vec::new(), |[certificate, key]| vec!["--cert", certificate, "--key", key]);
            let output = curl(&gateway, &server.certificate, &more);
            output.status.success() && output.stdout.ends_with(b" 404")
        };
        assert!(served(Some(&known)), "{mode}");
        assert_eq!(served(None), without, "{mode}");
        assert!(!served(Some(&unknown)), "an authority that is not in client_ca{mode}");
    }
}

#[tokio::test]
async fn certificates_are_loaded_again() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [first, second] = [0, 1].map(|index: usize| Certificate::make(folders[index].path()).unwrap());
    let used = tempfile::tempdir().unwrap();
    let (certificate, key) = (used.path().join("server.pem"), used.path().join("server.key"));
    let install = |made: &Certificate| {
        fs::copy(&made.key, &key).unwrap();
        fs::copy(&made.certificate, &certificate).unwrap();
    };
    install(&first);
    let gateway = Gateway::start(&config(&certificate, &key)).await;
    let open = client(&gateway, &first.certificate);
    let store = || StoreRequest { key: "a".to_owned(), ..StoreRequest::default() };
    open.call::<StoreResponse>("Store", store()).await.unwrap();
    let is_trusted = |trusted: &Path| curl(&gateway, trusted, &[]).status.success();
    assert!(is_trusted(&first.certificate) && !is_trusted(&second.certificate));

    install(&second);
    until_true("loaded", || is_trusted(&second.certificate)).await;
    assert!(!is_trusted(&first.certificate));
    // This client does not trust the new certificate, so it still uses its first connection.
    open.call::<StoreResponse>("Store", store()).await.unwrap();
    client(&gateway, &first.certificate).call::<StoreResponse>("Store", store()).await.unwrap_err();

    // A certificate that does not fit its key changes nothing.
    fs::copy(&first.certificate, &certificate).unwrap();
    gateway.hang_up();
    until_true("reported", || gateway.log().contains("does not fit the key")).await;
    assert!(is_trusted(&second.certificate));
    open.call::<StoreResponse>("Store", store()).await.unwrap();
}
