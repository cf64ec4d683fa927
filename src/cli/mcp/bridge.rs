//! Reads messages line by line, and writes the answers as they arrive.

use std::{collections::HashMap, io, sync::Arc};

use bytes::Bytes;
use serde_json::Value;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
};

use super::gateway::McpGateway;

/// Longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Requests that are sent at the same time. Further ones wait.
const MAX_REQUESTS: usize = 16;
/// Answers that wait to be written.
const QUEUE: usize = 64;

/// A bridge between a program that has started this one, and a gateway.
pub struct Bridge {
    gateway: Arc<McpGateway>,
}

impl Bridge {
    /// Creates a bridge to a gateway.
    pub fn new(gateway: Arc<McpGateway>) -> Self {
        Self { gateway }
    }

    /// Runs until the input ends. Requests that are open then are still answered.
    pub async fn run(self, input: impl AsyncRead + Unpin, mut output: impl AsyncWrite + Unpin + Send + 'static) -> io::Result<()> {
        let (answers, mut written) = mpsc::channel::<Bytes>(QUEUE);
        let writer = tokio::spawn(async move {
            while let Some(message) = written.recv().await {
                output.write_all(&message).await?;
                output.write_all(b"\n").await?;
                output.flush().await?;
            }
            Ok::<_, io::Error>(())
        });
        let permits = Arc::new(Semaphore::new(MAX_REQUESTS));
        let mut input = BufReader::new(input);
        let mut requests = JoinSet::new();
        let mut open: HashMap<String, AbortHandle> = HashMap::new();
        while let Some(line) = read_line(&mut input).await? {
            if line.trim_ascii().is_empty() {
                continue;
            }
            while requests.try_join_next().is_some() {}
            open.retain(|_, request| !request.is_finished());
            let message: Value = serde_json::from_slice(&line).unwrap_or_default();
            if let Some(id) = cancelled(&message) {
                // The gateway cancels a call whose client leaves.
                if let Some(request) = open.remove(&id.to_string()) {
                    request.abort();
                }
                continue;
            }
            let Ok(permit) = permits.clone().acquire_owned().await else { break };
            let (gateway, answers) = (self.gateway.clone(), answers.clone());
            let id = message.get("id").map(Value::to_string);
            // The revision that `initialize` negotiates is that of all later requests.
            let is_first = message.get("method").and_then(Value::as_str) == Some("initialize");
            let request = async move {
                gateway.send(line, &message, &answers).await;
                drop(permit);
            };
            if is_first {
                request.await;
                continue;
            }
            let handle = requests.spawn(request);
            if let Some(id) = id {
                open.insert(id, handle);
            }
        }
        // A cancelled request is no failure.
        while requests.join_next().await.is_some() {}
        drop(answers);
        writer.await.map_err(io::Error::other)?
    }
}

/// Returns the id of the request that a notification cancels.
fn cancelled(message: &Value) -> Option<&Value> {
    let is_cancellation = message.get("method").and_then(Value::as_str) == Some("notifications/cancelled");
    message.get("params").filter(|_| is_cancellation)?.get("requestId")
}

/// Reads a line. Returns `None` at the end.
async fn read_line(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Bytes>> {
    let mut line = Vec::new();
    let read = input.take(MAX_MESSAGE_BYTES as u64 + 1).read_until(b'\n', &mut line).await?;
    if read > MAX_MESSAGE_BYTES {
        let message = format!("a message has more than {} MiB", MAX_MESSAGE_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok((read > 0).then(|| line.into()))
}
