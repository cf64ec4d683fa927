//! Tests of the settings.

use prism_driver::BackendSettings;
use serde_json::{Value, json};

use crate::KIND;

fn problems(values: &Value) -> Vec<String> {
    let settings = BackendSettings { name: "objects".to_owned(), values: values.as_object().unwrap().clone() };
    (KIND.check)(&settings).err().unwrap_or_default().into_iter().map(|problem| problem.setting).collect()
}

#[test]
fn settings_are_checked_without_connecting() {
    for good in [
        json!({"url": "s3://bucket"}),
        json!({"url": "s3://bucket/", "region": "eu-central-1", "profile": "work"}),
        json!({"url": "s3://my.bucket-1/a/b", "endpoint": "http://127.0.0.1:9000", "access_key_id": "a", "secret_access_key": "b"}),
    ] {
        assert_eq!(problems(&good), [""; 0], "{good}");
    }
    for (bad, setting) in [
        (json!({}), "url"),
        (json!({"url": "bucket"}), "url"),
        (json!({"url": "s3://B"}), "url"),
        (json!({"url": "s3://bucket/a//b"}), "url"),
        (json!({"url": "s3://bucket/../b"}), "url"),
        (json!({"url": "s3://bucket", "region": "eu central"}), "region"),
        (json!({"url": "s3://bucket", "endpoint": "s3.example.com"}), "endpoint"),
        (json!({"url": "s3://bucket", "endpoint": "https://user:secret@s3.example.com"}), "endpoint"),
        (json!({"url": "s3://bucket", "access_key_id": "a"}), "secret_access_key"),
        (json!({"url": "s3://bucket", "secret_access_key": "a"}), "access_key_id"),
        (json!({"url": "s3://bucket", "session_token": "a"}), "session_token"),
        (json!({"url": "s3://bucket", "part_size": "1MiB"}), "part_size"),
        (json!({"url": "s3://bucket", "max_attempts": 0}), "max_attempts"),
        (json!({"url": "s3://bucket", "tls": {"ca_file": "/nothing/there"}}), "tls.ca_file"),
    ] {
        assert_eq!(problems(&bad), [setting], "{bad}");
    }
}
