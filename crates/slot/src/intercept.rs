//! Interceptors: layers that do the same around every operation, whatever its interface is.

use std::sync::Arc;

use prism_call::{Context, Error, Messages, proto::Interfaces};

/// An operation of an interface, as `keyvalue_basic.Get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// Name of the interface.
    pub interface: &'static str,
    /// Name of the RPC.
    pub rpc: &'static str,
}

/// Runs code around every operation of a slot. Every interceptor is a [`Layer`](crate::Layer).
///
/// # Behavior
/// - `work` is the operation. It starts when it is polled, and dropping it cancels it.
/// - An interceptor sees neither requests nor responses. A layer that needs them implements the forwarding traits of the interfaces, such
///   as `ForwardKeyValueBasic`.
/// - Each interceptor costs one allocation for each operation.
pub trait Interceptor: Send + Sync + Sized + 'static {
    /// Name of the layer.
    const NAME: &'static str;

    /// Runs an operation that returns one message.
    fn one<T: Send>(
        &self,
        context: &Context,
        operation: Operation,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send;

    /// Runs an operation that returns a stream. The default treats the start of the stream like an operation that returns one message.
    fn stream<T: Send + 'static>(
        self: &Arc<Self>,
        context: &Context,
        operation: Operation,
        work: impl Future<Output = Result<Messages<T>, Error>> + Send,
    ) -> impl Future<Output = Result<Messages<T>, Error>> + Send {
        self.one(context, operation, work)
    }
}

/// An interface behind an interceptor.
struct Intercepted<T: ?Sized, I> {
    inner: Arc<T>,
    interceptor: Arc<I>,
}

include!(concat!(env!("OUT_DIR"), "/intercepted.rs"));
