//! Envoy 1.40 in front of a gRPC service, as people deploy it: its transcoder with our descriptors, connected to our gRPC port.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    Result,
    server::{Server, free_port},
};

pub fn start(folder: &Path, prism: u16) -> Result<Server> {
    let port = free_port()?;
    let descriptors = folder.join("descriptors.bin");
    fs::write(&descriptors, contract()?)?;
    let config = folder.join("envoy.yaml");
    fs::write(
        &config,
        include_str!("envoy.yaml")
            .replace("{port}", &port.to_string())
            .replace("{prism}", &prism.to_string())
            .replace("{descriptors}", &descriptors.display().to_string()),
    )?;
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/envoy/bin/envoy");
    let program = env::var_os("ENVOY").map_or(local, Into::into);
    let child = Command::new(&program)
        .args(["--log-level", "error", "--concurrency", "2", "--disable-hot-restart", "-c"])
        .arg(&config)
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}; scripts/bench installs Envoy", program.display()))?;
    Server::external(child, port, "/v1/keys/greeting")
}

/// The pattern's contract for Envoy, as an encoded `google.protobuf.FileDescriptorSet`.
fn contract() -> Result<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([root.join("benches/load"), root.join("proto")])?;
    compiler.include_imports(true).open_file("keyvalue.proto")?;
    Ok(compiler.encode_file_descriptor_set())
}
