//! Requests that transcoders are known to get wrong, sent to Prism's edge: `cargo test --test transcoding`.
//!
//! - `case.rs`, `right.rs`, `cases/`: the table of cases. `contract.rs`, `service.rs`: the service. `server.rs`: Prism in front of it.
//! - `answers.rs`: the page `ANSWERS.md`, which compares Prism with other transcoders. `cargo test --test transcoding -- --write` updates
//!   Prism's answers; `scripts/transcoding-peers` installs the other transcoders and updates theirs too.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]

mod answers;
mod case;
mod cases;
mod client;
mod contract;
mod peers;
mod right;
mod server;
mod service;

use std::{collections::BTreeSet, env, net::SocketAddr, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use crate::{
    answers::Cells,
    case::{Case, Row},
};

fn main() -> ExitCode {
    if let Some(file) = env::args().skip_while(|argument| argument != "--descriptors").nth(1) {
        std::fs::write(file, contract::for_gateway()).unwrap();
        return ExitCode::SUCCESS;
    }
    let runtime = Arc::new(Runtime::new().unwrap());
    let prism = runtime.block_on(server::start());
    let asked = |flag: &str| env::args().any(|argument| argument == flag);
    if asked("--write") || asked("--peers") {
        return runtime.block_on(write(prism, asked("--peers")));
    }
    let mut trials = vec![
        Trial::test("every_row_has_a_case", every_row_has_a_case),
        Trial::test("answers_are_current", {
            let runtime = runtime.clone();
            move || runtime.block_on(answers_are_current(prism))
        }),
    ];
    for case in cases::all() {
        let runtime = runtime.clone();
        trials.push(Trial::test(case.name.clone(), move || runtime.block_on(is_right(prism, &case))));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

async fn is_right(prism: SocketAddr, case: &Case) -> Result<(), Failed> {
    let answer = client::ask(prism, &case.request).await?;
    case.right.check(&answer).map_err(|wrong| {
        let text = answer.text();
        Failed::from(format!(
            "{wrong}\n{} {} was answered with {} {:?}\n{text}",
            case.request.method, case.request.path, answer.status, answer.headers
        ))
    })
}

fn every_row_has_a_case() -> Result<(), Failed> {
    let cases = cases::all();
    let mut names = BTreeSet::new();
    if let Some(twice) = cases.iter().find(|case| !names.insert(&case.name)) {
        return Err(format!("two cases are called {}", twice.name).into());
    }
    match Row::ALL.into_iter().find(|row| !cases.iter().any(|case| case.row == *row)) {
        Some(row) => Err(format!("no case for: {}", row.title()).into()),
        None => Ok(()),
    }
}

/// Returns the page with Prism's current answers. Peers without an address keep the answers of the existing page.
async fn page(prism: SocketAddr, others: &[Option<SocketAddr>; 2]) -> String {
    let cases = cases::all();
    let existing = answers::read_page();
    let mut cells = Cells::new();
    for case in &cases {
        let mut row: [String; 3] = existing.get(&case.name).cloned().unwrap_or_default();
        row[0] = answers::cell(case, &client::ask(prism, &case.request).await);
        for (other, cell) in others.iter().zip(&mut row[1..]) {
            if !case.for_peers {
                "–".clone_into(cell);
            } else if let Some(address) = other {
                *cell = answers::cell(case, &client::ask(*address, &case.request).await);
            }
        }
        cells.insert(case.name.clone(), row);
    }
    answers::page(&cases, &cells)
}

async fn answers_are_current(prism: SocketAddr) -> Result<(), Failed> {
    if answers::is_current(&page(prism, &[None, None]).await) {
        return Ok(());
    }
    Err("tests/transcoding/ANSWERS.md does not have Prism's current answers; `cargo test --test transcoding -- --write` updates it, and \
         `scripts/transcoding-peers` also asks the other transcoders"
        .into())
}

async fn write(prism: SocketAddr, with_peers: bool) -> ExitCode {
    let peers = if with_peers { peers::start(prism).await.map(Some) } else { Ok(None) };
    match peers {
        Ok(peers) => {
            let others = peers.as_ref().map_or([None, None], peers::Peers::addresses);
            answers::write(&page(prism, &others).await);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
