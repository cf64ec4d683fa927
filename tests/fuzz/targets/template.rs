//! A template and a path: what parses prints to the same, and what matches can be captured.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use prism::frontend::{percent, router::Router, template::PathTemplate};

fuzz_target!(|data: (&str, &str)| {
    let (text, path) = data;
    let Ok(template) = PathTemplate::parse(text) else { return };
    assert_eq!(PathTemplate::parse(&template.to_string()), Ok(template.clone()));
    let mut router = Router::default();
    router.insert(Some(Method::GET), template, ()).expect("one route shadows none");
    if let Ok(found) = router.find(&Method::GET, path) {
        for (variable, capture) in found.template.variables().iter().zip(found.captures()) {
            let _ = percent::decode(capture, variable.slash);
        }
    }
});
