use super::*;
use http::HeaderValue;

fn stored(id: &str, secret: &str, expires: Option<&str>) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        subject: "ada".to_owned(),
        tenant: Some("acme".to_owned()),
        groups: vec!["writers".to_owned()],
        created: None,
        expires: expires.map(str::to_owned),
        hash: hash(secret).unwrap(),
    }
}

fn settings(folder: &std::path::Path, keys: Vec<StoredKey>) -> KeyFileSettings {
    let file = folder.join("keys.yaml");
    update(&file, |known| {
        known.keys = keys;
        Ok(())
    })
    .unwrap();
    KeyFileSettings { file }
}

async fn attempt(method: &dyn Method, credentials: &Credentials) -> &'static str {
    let peer = Peer::default();
    let verdict = match method.attempt(&peer, credentials) {
        Attempt::Absent => return "absent",
        Attempt::Ready(Verdict::Accepted(_)) => return "cached",
        Attempt::Ready(verdict) => verdict,
        Attempt::Pending(work) | Attempt::Again(work) => work.await,
    };
    match verdict {
        Verdict::Accepted(principal) => {
            assert_eq!((&*principal.subject, &*principal.tenant, &*principal.groups[0]), ("ada", "acme", "writers"));
            "accepted"
        }
        Verdict::Rejected => "rejected",
        Verdict::Unavailable(_) => "unavailable",
    }
}

fn api_key(text: &str) -> Credentials {
    Credentials { api_key: Some(HeaderValue::try_from(text).unwrap()), authorization: None }
}

fn authorization(text: &str) -> Credentials {
    Credentials { api_key: None, authorization: Some(HeaderValue::try_from(text).unwrap()) }
}

#[tokio::test]
async fn api_keys_are_verified_once_and_then_known() {
    let folder = tempfile::tempdir().unwrap();
    let key = generate(None);
    let keys = vec![stored(&key.id, &key.secret, None), stored("old", "secret", Some("2020-01-01T00:00:00Z"))];
    let method = ApiKey::open(&settings(folder.path(), keys)).unwrap();
    let text = key.text();
    assert!(text.starts_with("prism_"));
    assert_eq!(attempt(&method, &api_key(&text)).await, "accepted");
    assert_eq!(attempt(&method, &api_key(&text)).await, "cached");
    assert_eq!(attempt(&method, &authorization(&format!("Bearer {}", *text))).await, "cached");
    for wrong in [&text[..text.len() - 1], "prism_unknown_secret", "prism_old_secret", "prism_old_", "prism_", "", "x"] {
        assert_eq!(attempt(&method, &api_key(wrong)).await, "rejected", "{wrong}");
    }
    assert_eq!(attempt(&method, &authorization("Bearer eyJhbGciOiJub25lIn0.e30.")).await, "absent");
    assert_eq!(attempt(&method, &Credentials::default()).await, "absent");
}

#[tokio::test]
async fn basic_takes_the_id_as_the_name_and_the_secret_as_the_password() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let folder = tempfile::tempdir().unwrap();
    let method = Basic::open(&settings(folder.path(), vec![stored("ada", "pass:word", None)])).unwrap();
    let basic = |text: &str| authorization(&format!("basic {}", STANDARD.encode(text)));
    assert_eq!(attempt(&method, &basic("ada:pass:word")).await, "accepted");
    assert_eq!(attempt(&method, &basic("ada:pass:word")).await, "cached");
    for wrong in ["ada:pass", "ada:", "Ada:pass:word", "ada", ":pass:word", ""] {
        assert_eq!(attempt(&method, &basic(wrong)).await, "rejected", "{wrong}");
    }
    assert_eq!(attempt(&method, &authorization("Basic %%%")).await, "rejected");
    assert_eq!(attempt(&method, &authorization("Bearer x")).await, "absent");
}

#[test]
fn files_of_keys_are_checked_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let problem = |text: &str| {
        std::fs::write(&file, text).unwrap();
        read(&file).and_then(KeyTable::new).map(drop).unwrap_err()
    };
    let hash = hash("x").unwrap();
    let key = |id: &str| format!("- {{id: {id}, subject: a, hash: '{hash}'}}\n");
    assert!(problem(&format!("keys:\n{}{}", key("a"), key("a"))).contains("`a` twice"));
    assert!(problem(&format!("keys:\n{}", key("a_b"))).contains("an id has"));
    assert!(problem("keys: [{id: a, subject: b, hash: '$2y$10$abc'}]").contains("not argon2id"));
    assert!(problem("keys: [{id: a, subject: b, hash: x, expires: y}]").contains("not argon2id"));
    let broken = problem(&format!("keys:\n- {{id: a, subject: a, hash: '{hash}', extra: 1}}"));
    assert!(broken.contains("is not a file of keys") && !broken.contains(&hash), "{broken}");
    std::fs::remove_file(&file).unwrap();
    assert!(read(&file).unwrap_err().contains("prism auth key create"));
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_file_of_keys() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), vec![stored("a", "x", None)]);
    let mode = std::fs::metadata(&settings.file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!std::fs::read_to_string(&settings.file).unwrap().contains("secret: x"));
}
