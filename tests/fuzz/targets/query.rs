//! A query of any text, bound to the requests of the patterns.
#![no_main]

use bytes::Bytes;
use http::Method;
use libfuzzer_sys::fuzz_target;
use prism::frontend::{
    bind::{Media, PathAndQuery, BindOptions},
    route::{self, Routes},
};
use std::sync::LazyLock;

static ROUTES: LazyLock<Routes> =
    LazyLock::new(|| route::annotated("prism.patterns.keyvalue.v1.KeyValueService", BindOptions::default()).expect("the annotations are right"));

fuzz_target!(|query: &str| {
    for (method, path) in [(Method::GET, "/v1/keys"), (Method::PUT, "/v1/values/a"), (Method::GET, "/v1/count")] {
        let found = ROUTES.find(&method, path).expect("the route is there");
        let _ = found.value.binding.message(found.template, PathAndQuery { path, query: Some(query) }, &Bytes::new(), &Media::Raw(String::new()));
    }
});
