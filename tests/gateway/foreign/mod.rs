//! The frontends of other systems' APIs over REST, where published clients don't send it. Those run in `tests/clients/foreign`.

mod etcd;
