//! Client certificates that are revoked.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use test_support::{
    gateway::{Gateway, Setup},
    poll::until_true,
    servers::{Authority, Certificate},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, join},
    process::{Child, Command as AsyncCommand},
};

fn config(server: &Certificate, authority: &Authority) -> String {
    format!(
        "
authenticators: {{mesh: {{type: mtls}}}}
listeners:
  main: {{authentication: [mesh], tls: {{certificate: '{}', key: '{}', client_ca: '{}', client_crls: ['{}']}}}}
backends: {{ram: {{type: memory}}}}
namespaces: [{{name: store, pattern: keyvalue, slots: {{storage: ram}}}}]
",
        server.certificate.display(),
        server.key.display(),
        authority.certificate.display(),
        authority.revocations.display()
    )
}

/// The status of a request on a new connection, or `000` if there is none.
fn status(gateway: &Gateway, trusted: &Path, client: &Certificate) -> String {
    let port = gateway.address.port();
    let output = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", trusted.to_str().unwrap()])
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .args(["--cert", client.certificate.to_str().unwrap(), "--key", client.key.to_str().unwrap()])
        .args(["-X", "PUT", "-d", "x", &format!("https://localhost:{port}/store/v1/values/a")])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// An open connection with a client certificate. openssl has the TLS.
struct OpenConnection {
    sender: SendRequest<Empty<Bytes>>,
    _process: Child,
}

impl OpenConnection {
    async fn connect(gateway: &Gateway, client: &Certificate) -> Self {
        let mut process = AsyncCommand::new("openssl")
            .args(["s_client", "-quiet", "-servername", "localhost", "-connect", &gateway.address.to_string(), "-alpn", "http/1.1"])
            .args([OsStr::new("-cert"), client.certificate.as_os_str(), OsStr::new("-key"), client.key.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stream = join(process.stdout.take().unwrap(), process.stdin.take().unwrap());
        Self { sender: handshake(stream).await, _process: process }
    }

    async fn status(&mut self) -> u16 {
        let request = hyper::Request::get("/store/v1/values/a").header("host", "localhost").body(Empty::new()).unwrap();
        self.sender.ready().await.unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
        status
    }
}

async fn handshake(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> SendRequest<Empty<Bytes>> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_on_new_and_on_open_connections() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let server = Certificate::make(folders[0].path()).unwrap();
    let authority = Authority::make(folders[1].path());
    let [kept, revoked, before] = ["kept", "revoked", "before"].map(|name| authority.sign(name));
    authority.revoke(&[&before]);
    let gateway = Gateway::start(&config(&server, &authority)).await;
    let trusted = &server.certificate;
    assert_eq!(status(&gateway, trusted, &kept), "200");
    assert_eq!(status(&gateway, trusted, &revoked), "200");
    assert_eq!(status(&gateway, trusted, &before), "000");
    let mut open = [OpenConnection::connect(&gateway, &kept).await, OpenConnection::connect(&gateway, &revoked).await];
    assert_eq!((open[0].status().await, open[1].status().await), (200, 200));

    authority.revoke(&[&revoked]);
    until_true("refused", || status(&gateway, trusted, &revoked) == "000").await;
    assert_eq!(status(&gateway, trusted, &kept), "200");
    let [kept, revoked] = &mut open;
    let refused = async {
        while revoked.status().await != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), refused).await.expect("refused on the open connection");
    assert_eq!(kept.status().await, 200);

    // A list that can't be read changes nothing.
    fs::write(&authority.revocations, "no list").unwrap();
    gateway.hang_up();
    until_true("reported", || gateway.log().contains("has no revocation list in PEM format")).await;
    assert_eq!(kept.status().await, 200);
}

#[test]
fn lists_that_can_not_be_used_are_named() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let server = Certificate::make(folders[0].path()).unwrap();
    let authority = Authority::make(folders[1].path());
    let text = config(&server, &authority);
    let refused = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup { config: text, args: &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], ..Setup::default() };
        String::from_utf8(setup.refused(folder.path()).stderr).unwrap()
    };
    let said = refused(&text);
    assert!(said.contains("prism.yaml:4:") && said.contains("crl.pem") && said.contains("can't be read"), "{said}");
    fs::write(&authority.revocations, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").unwrap();
    let said = refused(&text);
    assert!(said.contains("crl.pem") && said.contains("can't be used to verify clients"), "{said}");
    let said = refused(&text.replace(&format!("client_ca: '{}', ", authority.certificate.display()), ""));
    assert!(said.contains("`client_crls` needs `client_ca`"), "{said}");
}
