//! A TCP proxy before the server, whose connections a test cuts or stalls.

use std::{pin::pin, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};

/// What the proxy does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Forward,
    /// Connections are closed, and new ones too.
    Cut,
    /// Connections stay open, new ones too, but nothing goes through them until the mode changes.
    Stall,
}

/// The proxy. It ends when it is dropped.
pub struct Proxy {
    pub port: u16,
    mode: Arc<watch::Sender<Mode>>,
    task: AbortHandle,
}

impl Proxy {
    /// Forwards connections to a port of this machine.
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(watch::Sender::new(Mode::Forward));
        let changes = mode.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut mode = changes.subscribe();
                tokio::spawn(async move {
                    if *mode.borrow() == Mode::Cut {
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                    let mut copy = pin!(copy_bidirectional(&mut client, &mut server));
                    loop {
                        let now = *mode.borrow_and_update();
                        tokio::select! {
                            _ = &mut copy, if now == Mode::Forward => return,
                            changed = mode.changed() => {
                                if changed.is_err() || *mode.borrow() == Mode::Cut {
                                    return;
                                }
                            }
                        }
                    }
                });
            }
        });
        Self { port, mode, task: task.abort_handle() }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
