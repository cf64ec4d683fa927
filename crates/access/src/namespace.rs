//! The access control of one namespace.

use std::{collections::HashMap, sync::Arc};

use super::chain::MethodChain;
use prism_call::{AccessControl, Authentication, Authorization, Context, Credentials, Error, Method, Namespace, Peer, Share};

/// The access control of one namespace.
pub struct NamespaceAccess {
    /// The methods of authentication, by listener.
    listeners: HashMap<String, Arc<MethodChain>>,
}

impl NamespaceAccess {
    /// Creates the access control of a namespace. A listener without an entry serves nobody.
    pub fn new(listeners: HashMap<String, Arc<MethodChain>>) -> Self {
        Self { listeners }
    }
}

impl AccessControl for NamespaceAccess {
    fn authenticate<'a>(&'a self, peer: &'a Peer, credentials: &'a Credentials) -> Authentication<'a> {
        match self.listeners.get(&*peer.listener) {
            Some(chain) => chain.authenticate(peer, credentials),
            None => Authentication::Ready(Err(Error::unauthenticated())),
        }
    }

    fn acquire(&self, _: &Context, _: bool) -> Result<Option<Share>, Error> {
        Ok(None)
    }

    fn authorize(&self, _: &Context, _: &Namespace, _: &Method) -> Result<Authorization, Error> {
        Ok(Authorization::Granted)
    }

    fn authorize_message(&self, _: &Context, _: &Namespace, _: &Method, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}
