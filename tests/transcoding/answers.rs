//! `ANSWERS.md`: each case with the correct response and the response of each transcoder.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use serde_json::Value;

use crate::{
    case::{Case, Row},
    client::Answer,
};

/// Maximum number of characters of a body in the table.
const MAX_BODY_CHARACTERS: usize = 120;
/// The transcoders, which are the columns after the case and the correct response.
pub const TRANSCODERS: [&str; 3] = ["Prism", "Envoy", "grpc-gateway"];

const HEAD: &str = "# What transcoders answer

To see how Prism, Envoy and grpc-gateway answer the same requests, read the tables below. Each row is a case of the suite
`cargo test --test transcoding`, with the right answer and the answer of each transcoder: ✓ if it is right, ✗ if it is wrong.

- Tests check Prism's answers. `scripts/transcoding-peers` asked the other transcoders when it wrote this page.
- All transcoders call the same service, `proto/depot.proto`.
- Envoy 1.40 has its best configuration for these cases (`envoy.yaml`): errors as JSON, unknown parameters and methods refused, gRPC-Web enabled.
- grpc-gateway 2.31 has its best configuration too (`gateway/`): an encoded slash is kept, unknown members are refused.
- Details that a row does not specify do not count: the shape of an error body, fields with the value zero, a column that differs by one,
  a prefix of a header's name.
- – means that the transcoder was not asked, because only Prism has the feature.
";

/// The cells by the name of the case; each has one text for each transcoder.
pub type Cells = BTreeMap<String, [String; 3]>;

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcoding/ANSWERS.md")
}

/// Returns a cell of the table: whether the response is correct, and the response.
pub fn cell(case: &Case, answer: &Result<Answer, String>) -> String {
    let right = answer.as_ref().is_ok_and(|answer| case.right.check(answer).is_ok());
    let said = match answer {
        Ok(answer) => summary(case, answer),
        Err(error) => error.clone(),
    };
    format!("{} {}", if right { '✓' } else { '✗' }, code(&said))
}

fn summary(case: &Case, answer: &Answer) -> String {
    let mut said = answer.status.to_string();
    for name in case.right.headers() {
        for (header, value) in answer.headers.iter().filter(|(header, _)| header.as_str().ends_with(name)) {
            let _ = write!(said, " {header}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
    }
    let body = if answer.body.iter().any(|byte| *byte < b' ' && !byte.is_ascii_whitespace()) {
        answer.body.escape_ascii().to_string()
    } else {
        relevant_body(answer).trim_end().replace('\n', "⏎")
    };
    let mut shortened: String = body.chars().take(MAX_BODY_CHARACTERS).collect();
    if body.chars().count() > MAX_BODY_CHARACTERS {
        shortened.push('…');
    }
    if !shortened.is_empty() {
        let _ = write!(said, " {shortened}");
    }
    if answer.broken {
        said.push_str(" (broken off)");
    }
    said
}

/// Returns the body. Of a problem document (RFC 9457), only the members that add something to the status.
fn relevant_body(answer: &Answer) -> String {
    const STATUS_MEMBERS: [&str; 3] = ["type", "title", "status"];
    match answer.json() {
        Ok(Value::Object(mut members)) if STATUS_MEMBERS.iter().all(|name| members.contains_key(*name)) => {
            members.retain(|name, _| !STATUS_MEMBERS.contains(&name.as_str()));
            Value::from(members).to_string()
        }
        _ => hide_retry(answer.text()),
    }
}

/// Hides the time until an `EventSource` reconnects, which is random.
fn hide_retry(text: String) -> String {
    match text.strip_prefix("retry: ").and_then(|rest| rest.split_once('\n')) {
        Some((_, rest)) => format!("retry: …\n{rest}"),
        None => text,
    }
}

/// Returns a text as code in a cell, without markup.
fn code(text: &str) -> String {
    let fence = if text.contains('`') { "``" } else { "`" };
    let space = if text.contains('`') { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", text.replace('|', "\\|"))
}

/// Returns the page.
pub fn page(cases: &[Case], cells: &Cells) -> String {
    let mut page = String::from(HEAD);
    let right = |place: usize| {
        let asked = cases.iter().filter_map(|case| cells.get(&case.name)).filter(|cells| !cells[place].is_empty() && cells[place] != "–");
        let (right, all) = asked.fold((0, 0), |(right, all), cells| (right + usize::from(cells[place].starts_with('✓')), all + 1));
        format!("{right} of {all}")
    };
    let _ = write!(page, "\n| {} |\n|---|---|---|\n| {} | {} | {} |\n", TRANSCODERS.join(" | "), right(0), right(1), right(2));
    for row in Row::ALL {
        let _ = write!(page, "\n## {}\n\n| case | right | {} |\n|---|---|---|---|---|\n", row.title(), TRANSCODERS.join(" | "));
        for case in cases.iter().filter(|case| case.row == row) {
            let empty = Default::default();
            let said = cells.get(&case.name).unwrap_or(&empty).join(" | ");
            let request = code(&format!("{} {}", case.request.method, case.request.path));
            let _ = writeln!(page, "| {}: {request}. {}. | {} | {said} |", case.name, case.why, code(&case.right.words()));
        }
    }
    page
}

/// Reads the cells of the current page, by the name of the case.
pub fn read_page() -> Cells {
    let page = fs::read_to_string(file()).unwrap_or_default();
    let row = |line: &str| {
        // A bar within a cell is escaped.
        let line = line.replace("\\|", "\u{0}");
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "\\|")).collect();
        let (name, _) = cells.first()?.split_once(": `")?;
        let [prism, envoy, gateway] = cells.get(2..)? else { return None };
        Some((name.to_owned(), [prism.clone(), envoy.clone(), gateway.clone()]))
    };
    page.lines().filter_map(row).collect()
}

/// Whether the file has the same text as a page that is written now.
pub fn is_current(page: &str) -> bool {
    fs::read_to_string(file()).is_ok_and(|written| written == page)
}

pub fn write(page: &str) {
    fs::write(file(), page).unwrap();
}
