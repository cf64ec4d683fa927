//! Who a caller is.

use std::{fs, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use test_support::{
    gateway::{Gateway, Setup},
    http,
    poll::{until, until_true},
    servers::Certificate,
};

use super::caller::{Action, PROTOCOLS, call, create_key};

/// Who, with which headers, and the codes in the namespaces `closed`, `half` and `open`.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], [&'a str; 3]);

/// The namespaces differ in who must authenticate.
fn config(folder: &std::path::Path) -> String {
    let file = folder.join("keys.yaml");
    format!(
        "
authenticators:
  keys: {{type: api-key, file: '{file}'}}
  people: {{type: basic, file: '{file}'}}
listeners:
  main: {{authentication: [keys, people]}}
backends: {{ram: {{type: memory}}}}
namespaces:
  - {{name: closed, pattern: keyvalue, slots: {{storage: ram}}}}
  - {{name: half, pattern: keyvalue, slots: {{storage: ram}}, authentication: [keys, anonymous]}}
  - {{name: open, pattern: keyvalue, slots: {{storage: ram}}, authentication: [anonymous]}}
log: {{access: all}}
",
        file = file.display()
    )
}

#[tokio::test]
async fn each_protocol_authenticates_its_callers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let key = create_key(&file, &["--subject", "ada", "--group", "writers"]);
    let password = create_key(&file, &["--subject", "bob", "--id", "bob"]);
    let bob = format!("Basic {}", STANDARD.encode(format!("bob:{}", password.strip_prefix("prism_bob_").unwrap())));
    let wrong = format!("Basic {}", STANDARD.encode("bob:guess"));
    let unknown = format!("Basic {}", STANDARD.encode("eve:guess"));
    let bearer = format!("Bearer {key}");
    let (ok, no) = ("OK", "UNAUTHENTICATED");
    let table: [Row<'_>; 9] = [
        ("nobody", &[], [no, ok, ok]),
        ("a key", &[("x-api-key", &key)], [ok, ok, ok]),
        ("a key as a bearer token", &[("authorization", &bearer)], [ok, ok, ok]),
        ("a name and a password", &[("authorization", &bob)], [ok, no, ok]),
        ("a wrong key", &[("x-api-key", "prism_bob_guess")], [no, no, ok]),
        ("text that is no key", &[("x-api-key", "guess")], [no, no, ok]),
        ("a wrong password", &[("authorization", &wrong)], [no, no, ok]),
        ("an unknown name", &[("authorization", &unknown)], [no, no, ok]),
        ("an unknown scheme", &[("authorization", "Digest username=bob")], [no, no, ok]),
    ];
    for protocol in PROTOCOLS {
        // One gateway for each, because it refuses addresses with many failures.
        let gateway = Gateway::start(&config(folder.path())).await;
        for (who, headers, codes) in &table {
            for (namespace, code) in ["closed", "half", "open"].into_iter().zip(codes) {
                let outcome = call(gateway.address, protocol, namespace, Action::Store("a"), headers).await;
                assert_eq!(outcome.code, *code, "{who} in {namespace} over {protocol}: {outcome:?}");
                if *code == no {
                    assert_eq!(outcome.reason, "UNAUTHENTICATED");
                    let expected: &[&str] = match namespace {
                        "closed" => &["Bearer realm=\"prism\"", "Basic realm=\"prism\", charset=\"UTF-8\""],
                        _ => &["Bearer realm=\"prism\""],
                    };
                    assert_eq!(outcome.challenges, expected, "{protocol}");
                }
            }
        }
        let log = gateway.log();
        assert!(log.contains("principal=ada") && log.contains("principal=bob") && log.contains("principal=anonymous"), "{log}");
        for secret in [key.rsplit('_').next().unwrap(), password.rsplit('_').next().unwrap()] {
            assert!(!log.contains(secret), "a secret is in the log");
        }
    }
    let gateway = Gateway::start(&config(folder.path())).await;
    // Documents and pages are part of the namespace.
    for path in ["openapi.json", "docs/", "docs/index.html"] {
        assert_eq!(http::get(gateway.address, &format!("/closed/{path}")).await.unwrap().status, 401, "{path}");
        assert_ne!(http::get(gateway.address, &format!("/open/{path}")).await.unwrap().status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let revoked = create_key(&file, &["--subject", "ada", "--id", "revoked"]);
    let kept = create_key(&file, &["--subject", "ada", "--id", "kept"]);
    let gateway = Gateway::start(&config(folder.path())).await;
    for key in [&revoked, &kept] {
        assert_eq!(call(gateway.address, "rest", "closed", Action::Store("a"), &[("x-api-key", key)]).await.code, "OK");
    }
    let path = file.to_str().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_prism")).args(["auth", "key", "revoke", "revoked", "--file", path]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    until("refused", || async {
        let outcome = call(gateway.address, "rest", "closed", Action::Retrieve("a"), &[("x-api-key", &revoked)]).await;
        if outcome.code == "UNAUTHENTICATED" { Ok(()) } else { Err(format!("{outcome:?}")) }
    })
    .await;
    assert_eq!(call(gateway.address, "rest", "closed", Action::Retrieve("a"), &[("x-api-key", &kept)]).await.code, "OK");
}

#[tokio::test]
async fn a_broken_file_of_keys_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let key = create_key(&file, &["--subject", "ada"]);
    let gateway = Gateway::start(&config(folder.path())).await;
    fs::write(&file, "keys: [{id: a}]").unwrap();
    until_true("reported", || gateway.log().contains("is not a file of keys")).await;
    assert_eq!(call(gateway.address, "grpc", "closed", Action::Store("a"), &[("x-api-key", &key)]).await.code, "OK");
    let setup = Setup { config: &config(folder.path()), ..Setup::default() };
    let refused = setup.refused(tempfile::tempdir().unwrap().path());
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("prism.yaml:3:31: `file` is not a file of keys"), "{text}");
}

#[tokio::test]
async fn too_many_wrong_credentials_are_refused_without_a_check() {
    let folder = tempfile::tempdir().unwrap();
    let key = create_key(&folder.path().join("keys.yaml"), &["--subject", "ada"]);
    let gateway = Gateway::start(&config(folder.path())).await;
    let ask = |key: String| async move { call(gateway.address, "rest", "closed", Action::Store("a"), &[("x-api-key", &key)]).await };
    let known = ask(key.clone()).await;
    assert_eq!(known.code, "OK");
    let mut refused = None;
    for number in 0..200 {
        let outcome = ask(format!("prism_{number}_guess")).await;
        if outcome.code == "RESOURCE_EXHAUSTED" {
            refused = Some(outcome);
            break;
        }
        assert_eq!(outcome.code, "UNAUTHENTICATED");
    }
    let refused = refused.expect("never refused");
    assert_eq!(refused.reason, "TOO_MANY_FAILURES");
    assert!(refused.headers.contains_key("retry-after"));
    // Whoever was verified before from the same address is still served.
    assert_eq!(ask(key).await.code, "OK");
}

#[test]
fn keys_are_created_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let key =
        create_key(&file, &["--subject", "ada", "--id", "one", "--tenant", "acme", "--group", "a", "--group", "b", "--expires", "90d"]);
    assert!(key.starts_with("prism_one_"), "{key}");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_prism"))
            .args(["auth", "key"])
            .args(arguments)
            .args(["--file", file.to_str().unwrap()])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    let (code, list) = run(&["list"]);
    assert_eq!(code, Some(0));
    assert!(list.contains("one    ada        acme      a,b"), "{list}");
    assert!(!list.contains("argon2"), "{list}");
    let (code, json) = run(&["list", "-o", "json"]);
    assert_eq!((code, json.contains("argon2"), json.contains("\"subject\": \"ada\"")), (Some(0), false, true), "{json}");
    let refusals: [(&[&str], &str); 5] = [
        (&["create", "--subject", "eve", "--id", "one"], "there is a key `one` already"),
        (&["create", "--subject", "eve", "--id", "a_b"], "can't be an id"),
        (&["create", "--subject", "eve", "--expires", "soon"], "is no time and no duration"),
        (&["create", "--subject", "eve", "--secret-stdin"], "it must have at least 12"),
        (&["revoke", "two"], "there is no key `two`"),
    ];
    for (arguments, expected) in refusals {
        let (code, text) = run(arguments);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(run(&["revoke", "one"]).0, Some(0));
    assert!(!run(&["list"]).1.contains("ada"));
}

#[tokio::test]
async fn a_client_certificate_names_its_caller() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [server, client] = folders.each_ref().map(|folder| Certificate::make(folder.path()).unwrap());
    let text = format!(
        "
authenticators: {{mesh: {{type: mtls, names: [uri, dns]}}}}
listeners:
  main: {{authentication: [mesh], tls: {{certificate: '{}', key: '{}', client_ca: '{}', client_certificates: optional}}}}
backends: {{ram: {{type: memory}}}}
namespaces: [{{name: store, pattern: keyvalue, slots: {{storage: ram}}}}]
policy: {{rules: [{{name: mesh, when: principal.subject == 'localhost' && principal.method == 'mtls' && peer.tls}}]}}
",
        server.certificate.display(),
        server.key.display(),
        client.certificate.display()
    );
    let gateway = Gateway::start(&text).await;
    let port = gateway.address.port();
    let status = |more: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", server.certificate.to_str().unwrap()])
            .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
            .args(more)
            .args(["-X", "PUT", "-d", "x", &format!("https://localhost:{port}/store/v1/values/a")])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(status(&["--cert", client.certificate.to_str().unwrap(), "--key", client.key.to_str().unwrap()]), "200");
    assert_eq!(status(&[]), "401");
}
