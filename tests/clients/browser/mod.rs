//! Runs Chromium on the pages that `prism serve` shows (`web-demo/`).

use std::path::Path;

use test_support::gateway::Gateway;

use super::suite::{self, installed};

/// Number of cases.
const CASES: usize = 14;

/// A namespace that can't be watched, because the policy forbids it.
const UNWATCHED: &str = "
listeners:
  main: {web_demo: true}
backends:
  ram: {type: memory}
namespaces:
  - {name: quiet, pattern: keyvalue, slots: {storage: ram}}
policy:
  rules:
    - {name: all}
    - {name: no-watches, effect: deny, methods: [Watch]}
";

#[tokio::test]
async fn every_page_works_in_both_themes() {
    let folder = installed("tests/clients/browser");
    installed("tests/clients/browser/node_modules/playwright-core");
    let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let chromium =
        chromium.into_iter().find(|path| Path::new(path).exists()).expect("Chromium is not installed; install Debian's package chromium");
    let gateway = Gateway::start("").await;
    let other = Gateway::start(UNWATCHED).await;
    let environment = [("PRISM_URL", gateway.url()), ("PRISM_OTHER_URL", other.url()), ("CHROMIUM", chromium.to_owned())];
    suite::npm(&folder, environment, CASES);
}
