//! A listener with TLS, used by curl and a gRPC client.

use std::{fs, path::Path, process::Command};

use prism::proto::patterns::keyvalue::v1::*;
use test_support::{
    client::Client,
    gateway::{Gateway, Setup},
    http,
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

#[tokio::test]
async fn alpn_selects_the_http_version() {
    let folder = tempfile::tempdir().unwrap();
    let Certificate { certificate, key } = Certificate::make(folder.path()).unwrap();
    let gateway = Gateway::start(&config(&certificate, &key)).await;
    let url = format!("https://localhost:{}", gateway.address.port());
    assert!(gateway.output().contains(&format!("https://{}", gateway.address)), "{}", gateway.output());

    let curl = |version: &str, more: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", version, "--cacert", certificate.to_str().unwrap(), "-w", "\n%{http_version} %{http_code}"])
            .args(["--resolve", &format!("localhost:{}:127.0.0.1", gateway.address.port())])
            .args(more)
            .arg(format!("{url}/store/v1/values/a"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let stored = curl("--http2", &["-X", "PUT", "-d", "hello"]);
    assert!(stored.ends_with("\n2 200"), "{stored}");
    assert_eq!(curl("--http1.1", &[]), "hello\n1.1 200");

    let authority = ClientTlsConfig::new().ca_certificate(Authority::from_pem(fs::read(&certificate).unwrap())).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", gateway.address)).unwrap().tls_config(authority).unwrap();
    let client = Client { channel: endpoint.connect_lazy(), namespace: "store".to_owned() };
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
