//! Runs Chromium on the pages that `prism serve` shows (`web-demo/`).

use std::{path::Path, process::Command};

use test_support::gateway::Gateway;

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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/browser");
    assert!(
        folder.join("node_modules/playwright-core").exists(),
        "the packages of tests/clients/browser are not installed; run scripts/install-tools"
    );
    let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let chromium =
        chromium.into_iter().find(|path| Path::new(path).exists()).expect("Chromium is not installed; install Debian's package chromium");
    let gateway = Gateway::start("").await;
    let other = Gateway::start(UNWATCHED).await;
    let output = Command::new("npm")
        .args(["test", "--silent", "--", "--test-reporter=tap"])
        .current_dir(&folder)
        .env("PRISM_URL", gateway.url())
        .env("PRISM_OTHER_URL", other.url())
        .env("CHROMIUM", chromium)
        .output()
        .unwrap_or_else(|error| {
            panic!("npm does not start: {error}; install Node.js 20 or later with npm, then run scripts/install-tools")
        });
    let report = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}");
    let passed = report.lines().rev().find_map(|line| line.strip_prefix("# pass ")?.trim().parse().ok()).unwrap_or(0);
    assert!(passed >= CASES, "only {passed} cases ran, of at least {CASES}:\n{report}");
}
