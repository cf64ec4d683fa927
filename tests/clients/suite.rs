//! How the suites of other languages are run and judged.

use std::{
    ffi::OsStr,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use test_support::command;

/// The longest time for one case, in milliseconds: much more than any needs. A case that waits for something that never comes fails by its
/// name then.
const CASE_MS: &str = "300000";

/// Returns a path below the root of the repository, which `scripts/install-tools` has made.
pub fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    assert!(path.exists(), "{} is not installed; run scripts/install-tools", path.display());
    path
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    command::output(command).unwrap_or_else(|error| match (error.kind(), command.get_program().to_str()) {
        (ErrorKind::NotFound, Some("npm" | "node")) => {
            panic!("npm is not installed; install Node.js 20 or later with npm, then run scripts/install-tools")
        }
        _ => panic!("{}: {error}", command.get_program().display()),
    })
}

/// What a command has printed.
pub fn report(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}

/// Runs the suite of a folder with Node.js. Fails with its report if a case fails or is skipped, or if fewer cases run than expected.
pub fn npm<K: AsRef<OsStr>, V: AsRef<OsStr>>(folder: &Path, environment: impl IntoIterator<Item = (K, V)>, cases: usize) {
    let mut command = Command::new("npm");
    command.args(["test", "--silent", "--", "--test-reporter=tap"]).arg(format!("--test-timeout={CASE_MS}"));
    judge(&output(command.current_dir(folder).envs(environment)), cases);
}

/// Judges the report of Node.js, in the Test Anything Protocol.
pub fn judge(output: &Output, cases: usize) {
    let report = report(output);
    assert!(output.status.success(), "{report}");
    let total = |what: &str| report.lines().rev().find_map(|line| line.strip_prefix(&format!("# {what} "))?.trim().parse::<usize>().ok());
    assert_eq!((total("fail"), total("skipped"), total("cancelled")), (Some(0), Some(0), Some(0)), "{report}");
    let passed = total("pass").unwrap_or_default();
    assert!(passed >= cases, "only {passed} cases ran, of at least {cases}:\n{report}");
}

/// Runs a suite in Python, whose last line is `passed N`.
pub fn python(environment: &str, script: &Path, url: &str, cases: usize) {
    // Python must not write compiled files next to the scripts.
    let output = output(Command::new(installed(environment).join("bin/python")).arg("-B").arg(script).arg(url));
    let report = format!("{} at {url}:\n{}", script.display(), report(&output));
    assert!(output.status.success(), "{report}");
    let passed = report.lines().rev().find_map(|line| line.strip_prefix("passed ")?.trim().parse::<usize>().ok()).unwrap_or_default();
    assert!(passed >= cases, "only {passed} cases ran, of at least {cases}:\n{report}");
}
