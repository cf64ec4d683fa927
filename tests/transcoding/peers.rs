//! The other transcoders. Each of them forwards to the same service through Prism's gRPC.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    case::{Case, Row},
    client,
    contract::DESCRIPTORS,
    right,
};

/// Maximum time until a transcoder has started.
const PATIENCE: Duration = Duration::from_secs(20);

/// Running transcoders, which are killed on drop.
pub struct Peers {
    envoy: Peer,
    gateway: Peer,
    _folder: TempDir,
}

struct Peer {
    address: SocketAddr,
    child: Child,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // If this fails, the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peers {
    pub const fn addresses(&self) -> [Option<SocketAddr>; 2] {
        [Some(self.envoy.address), Some(self.gateway.address)]
    }
}

/// Starts all transcoders in front of this gRPC server.
pub async fn start(grpc: SocketAddr) -> Result<Peers, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let envoy = envoy(folder.path(), grpc)?;
    let gateway = gateway(grpc)?;
    for peer in [&envoy, &gateway] {
        answers(peer.address).await?;
    }
    Ok(Peers { envoy, gateway, _folder: folder })
}

fn envoy(folder: &Path, grpc: SocketAddr) -> Result<Peer, String> {
    let address = free()?;
    let descriptors = folder.join("depot.bin");
    fs::write(&descriptors, DESCRIPTORS.as_slice()).map_err(|error| error.to_string())?;
    let config = folder.join("envoy.yaml");
    let text = include_str!("envoy.yaml")
        .replace("{port}", &address.port().to_string())
        .replace("{grpc}", &grpc.port().to_string())
        .replace("{descriptors}", &descriptors.display().to_string());
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let mut command = Command::new(program("ENVOY", ".tools/envoy/bin/envoy"));
    command.args(["--log-level", "error", "--concurrency", "1", "--disable-hot-restart", "-c"]).arg(config);
    spawn(command, address)
}

fn gateway(grpc: SocketAddr) -> Result<Peer, String> {
    let address = free()?;
    let mut command = Command::new(program("GRPC_GATEWAY", ".tools/bin/transcoding-gateway"));
    command.args([address.to_string(), grpc.to_string()]);
    spawn(command, address)
}

fn program(variable: &str, local: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(local), Into::into)
}

fn spawn(mut command: Command, address: SocketAddr) -> Result<Peer, String> {
    let child = command.stdout(Stdio::null()).spawn();
    let child = child.map_err(|error| format!("{}: {error}; scripts/transcoding-peers installs it", command.get_program().display()))?;
    Ok(Peer { address, child })
}

fn free() -> Result<SocketAddr, String> {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).map_err(|error| error.to_string())
}

/// Waits until a transcoder responds to a simple request.
async fn answers(address: SocketAddr) -> Result<(), String> {
    let case = Case::new(Row::OnePort, "start", "GET /v1/files/a", right::status(200), "");
    let tried = async {
        while client::ask(address, &case.request).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, tried).await.map_err(|_| format!("nobody answers at {address} after {PATIENCE:?}"))
}
