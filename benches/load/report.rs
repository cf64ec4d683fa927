//! BENCHMARKS.md.

use std::fmt::Write as _;

use crate::{
    driver::Costs,
    measure::{Sample, median},
    registry::{Figures, Rates, SUBJECTS},
    server::Memory,
};

/// What stands beside the table.
pub struct Facts {
    pub idle: Memory,
    pub loaded: Memory,
    pub first_answer_milliseconds: f64,
    pub driver: Costs,
    pub loading_milliseconds: f64,
    pub registry: Figures,
    pub rounds: u32,
    pub requests: u32,
}

/// The whole page. The first row is what the others are held against.
pub fn table(rows: &[(&str, &[Sample], usize)], facts: &Facts) -> String {
    let mut out = format!(
        "# Benchmarks\n\nWritten by `scripts/bench`: {} rounds of {} requests for each row, the load (h2load) on the same machine. A ratio is \
         taken within each round against the first row, that of a mapped route also against the plain route that does the same, and that of the registry against a bare route that returns the same bytes; \
         the table has the medians. Rates depend on the machine and on the load beside \
         it, ratios much less.\n\n\
         | what | requests / s | ratio | CPU µs / request | ratio | to the plain route: rate, CPU |\n|---|---:|---:|---:|---:|---:|\n",
        facts.rounds, facts.requests
    );
    let base = rows.first().map_or(&[][..], |(_, samples, _)| samples);
    for (name, samples, beside) in rows {
        let plain = rows.get(*beside).filter(|_| *beside > 0).map_or(String::new(), |(_, plain, _)| {
            let ratio = |of: fn(&Sample) -> f64| median(samples.iter().zip(*plain).map(|(sample, plain)| of(sample) / of(plain)).collect());
            format!("{:.2}, {:.2}", ratio(|sample| sample.rate), ratio(|sample| sample.cpu))
        });
        let ratio = |of: fn(&Sample) -> f64| median(samples.iter().zip(base).map(|(sample, base)| of(sample) / of(base)).collect());
        let middle = |of: fn(&Sample) -> f64| median(samples.iter().map(of).collect());
        let _ = writeln!(
            out,
            "| {name} | {:.0} | {:.2} | {:.1} | {:.2} | {plain} |",
            middle(|sample| sample.rate),
            ratio(|sample| sample.rate),
            middle(|sample| sample.cpu),
            ratio(|sample| sample.cpu)
        );
    }
    let _ = write!(
        out,
        "\nMemory is what is resident; what isn't the process's own are pages of the program and of libraries, which the system shares and takes \
         back when it needs them. CPU of the transcoder's row is Envoy's and Prism's together: the hop is what it costs to have REST in front of a gRPC service.\n\n\
         | the process | |\n|---|---:|\n| start to first answer | {:.0} ms |\n| memory, idle | {} |\n| memory, after the load | {} |\n\
         | memory driver, get | {:.0} ns |\n| memory driver, set | {:.0} ns |\n| a definition of {} routes, loaded | {:.0} ms |\n",
        facts.first_answer_milliseconds,
        told(facts.idle),
        told(facts.loaded),
        facts.driver.get,
        facts.driver.set,
        crate::loading::ROUTES,
        facts.loading_milliseconds
    );
    let Figures { memory, sqlite, hundred, thousand_megabytes, list_milliseconds } = &facts.registry;
    let rates = |rates: &Rates| format!("{:.0} | {:.0} | {:.0}", rates.registrations, rates.same, rates.checks);
    let _ = write!(
        out,
        "\nThe schema registry by eight clients at once, calls per second: each registration is a new schema of a new subject, and each check \
         is held against the schema that is there.\n\n\
         | over | new schemas | the same again | checks |\n|---|---:|---:|---:|\n| memory | {} |\n| SQLite | {} |\n\n\
         | the registry | |\n|---|---:|\n| memory of a gateway that starts on 100 schemas | {} |\n\
         | 1,000 schemas more (400 bytes each) | {thousand_megabytes:.1} MB |\n| list {SUBJECTS} subjects | {list_milliseconds:.0} ms |\n",
        rates(memory),
        rates(sqlite),
        told(*hundred)
    );
    out
}

fn told(memory: Memory) -> String {
    format!("{:.1} MB, {:.1} of it its own", memory.resident, memory.own)
}
