//! Client-side encryption: key encryption keys (KEKs), and data encryption keys (DEKs) that clients have encrypted with them.

use serde_json::Value;

use crate::{
    client::{RegistryClient, escape_segment, escape_subject},
    error::ClientError,
    transport::Retry,
};

const KEKS: &str = "/dek-registry/v1/keks";

fn kek_path(kek: &str) -> String {
    format!("{KEKS}/{}", escape_segment(kek))
}

fn dek_versions_path(kek: &str, subject: &str) -> String {
    format!("{}/deks/{}/versions", kek_path(kek), escape_subject(subject))
}

/// Softly deleted keys are included in everything that these requests return.
impl RegistryClient {
    /// Returns the names of the KEKs; `None` if the registry has no keys.
    pub async fn list_keks(&self) -> Result<Option<Vec<String>>, ClientError> {
        self.find(&format!("{KEKS}?deleted=true")).await
    }

    /// Returns a KEK.
    pub async fn kek(&self, name: &str) -> Result<Value, ClientError> {
        self.get(&format!("{}?deleted=true", kek_path(name))).await
    }

    /// Returns the subjects that have DEKs below a KEK.
    pub async fn list_dek_subjects(&self, kek: &str) -> Result<Vec<String>, ClientError> {
        Ok(self.find(&format!("{}/deks?deleted=true", kek_path(kek))).await?.unwrap_or_default())
    }

    /// Returns the versions of a subject's DEK for an algorithm.
    pub async fn list_dek_versions(&self, kek: &str, subject: &str, algorithm: &str) -> Result<Vec<u32>, ClientError> {
        let path = format!("{}?algorithm={}&deleted=true", dek_versions_path(kek, subject), escape_segment(algorithm));
        Ok(self.find(&path).await?.unwrap_or_default())
    }

    /// Returns a version of a DEK.
    pub async fn dek(&self, kek: &str, subject: &str, version: u32, algorithm: &str) -> Result<Value, ClientError> {
        self.get(&format!("{}/{version}?algorithm={}&deleted=true", dek_versions_path(kek, subject), escape_segment(algorithm))).await
    }

    /// Creates a KEK.
    pub async fn create_kek(&self, body: &Value) -> Result<(), ClientError> {
        self.post::<Value>(KEKS, body, Retry::Allowed).await.map(drop)
    }

    /// Creates a DEK below a KEK.
    pub async fn create_dek(&self, kek: &str, body: &Value) -> Result<(), ClientError> {
        self.post::<Value>(&format!("{}/deks", kek_path(kek)), body, Retry::Allowed).await.map(drop)
    }

    /// Deletes a KEK softly.
    pub async fn delete_kek(&self, name: &str) -> Result<(), ClientError> {
        self.delete(&kek_path(name)).await
    }

    /// Deletes a version of a DEK softly.
    pub async fn delete_dek(&self, kek: &str, subject: &str, version: u64, algorithm: &str) -> Result<(), ClientError> {
        self.delete(&format!("{}/{version}?algorithm={}", dek_versions_path(kek, subject), escape_segment(algorithm))).await
    }
}
