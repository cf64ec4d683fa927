//! The cases of Autobahn's test suite for WebSocket servers, against the transport of all protocols over WebSocket, with one that echoes.
//!
//! `kosoku` runs them: its cases are those of Autobahn, whose own program needs Python 2. They are all cases except those of compression.

use std::{net::Ipv4Addr, path::Path, process::Command};

use prism::{
    call::Delivery,
    edge::{WebSocket, WebSocketClose, WebSocketIo, WebSocketProtocol, serve_websocket},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::suite::{self, installed};

/// The number of cases without compression.
const CASES: usize = 301;
/// Cases that are stricter than RFC 6455: text that is not UTF-8 is refused at the end of its frame, and not in the middle of it.
const LATE: [&str; 2] = ["6.4.3", "6.4.4"];
/// The largest messages of the cases have 16 MiB.
const MAX_MESSAGE_BYTES: usize = 17 << 20;

/// Returns every message.
struct Echo;

impl WebSocketProtocol for Echo {
    async fn run(self, socket: &mut WebSocket<impl WebSocketIo>) -> WebSocketClose {
        let sender = socket.sender();
        while let Some(message) = socket.receive().await {
            let _ = sender.send(message, Delivery::default()).await;
        }
        WebSocketClose::normal()
    }
}

async fn serve_echo(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // The client sends nothing before the response, so the handshake has read nothing else.
            let stream = tokio_tungstenite::accept_async(stream).await.unwrap().into_inner();
            serve_websocket(stream, Echo, MAX_MESSAGE_BYTES, CancellationToken::new()).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_of_autobahn_pass_strictly() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(serve_echo(listener));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/autobahn/cases.py");
    let mut command = Command::new(installed(".tools/autobahn/bin/python"));
    command.arg("-B").arg(script).arg(url);
    let output = tokio::task::spawn_blocking(move || suite::output(&mut command)).await.unwrap();
    assert!(output.status.success(), "{}", suite::report(&output));
    let report = String::from_utf8(output.stdout).unwrap();
    // Informational cases are about what the RFC leaves open.
    let is_strict = |line: &&str| match line.split('\t').collect::<Vec<_>>()[..] {
        [case, "NON-STRICT", "OK", ..] => LATE.contains(&case),
        [_, behaviour, close, ..] => [behaviour, close].iter().all(|verdict| matches!(*verdict, "OK" | "INFORMATIONAL")),
        _ => false,
    };
    let (passed, others): (Vec<&str>, Vec<&str>) = report.lines().partition(is_strict);
    assert!(others.is_empty(), "{}", others.join("\n"));
    assert_eq!(passed.len(), CASES, "{report}");
}
