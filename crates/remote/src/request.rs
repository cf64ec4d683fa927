//! The request messages for a remote.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::oneshot;

use prism_call::{Error, Input, Messages};

/// The message stream of a request.
///
/// If the caller's stream fails, the remote must not see a normal end. So nothing more is sent, the error goes to [`Broken`], and the
/// call is cancelled.
pub enum Requests {
    One(Option<Bytes>),
    Stream { messages: Messages<Bytes>, failed: Option<oneshot::Sender<Error>> },
}

/// Resolves with the error when the caller's stream fails. Otherwise it never resolves.
pub struct Broken(Option<oneshot::Receiver<Error>>);

impl Requests {
    pub fn new(input: Input) -> (Self, Broken) {
        match input {
            Input::One(message) => (Self::One(Some(message)), Broken(None)),
            Input::Stream(messages) => {
                let (failed, broken) = oneshot::channel();
                (Self::Stream { messages, failed: Some(failed) }, Broken(Some(broken)))
            }
        }
    }
}

impl Stream for Requests {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.get_mut() {
            Self::One(message) => Poll::Ready(message.take()),
            Self::Stream { failed: None, .. } => Poll::Pending,
            Self::Stream { messages, failed } => match ready!(messages.as_mut().poll_next(context)) {
                Some(Ok(message)) => Poll::Ready(Some(message)),
                None => Poll::Ready(None),
                Some(Err(error)) => {
                    if let Some(failed) = failed.take() {
                        // If the call has ended in the meantime, nobody receives the error.
                        let _ = failed.send(error);
                    }
                    Poll::Pending
                }
            },
        }
    }
}

impl Future for Broken {
    type Output = Error;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Error> {
        let Some(receiver) = &mut self.0 else { return Poll::Pending };
        if let Ok(error) = ready!(Pin::new(receiver).poll(context)) {
            return Poll::Ready(error);
        }
        // All messages were sent, or the remote needs no more.
        self.0 = None;
        Poll::Pending
    }
}
