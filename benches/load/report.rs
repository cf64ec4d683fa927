//! Writes BENCHMARKS.md.

use std::fmt::Write as _;

use crate::{
    driver::Costs,
    measure::{Sample, median},
    namespaces,
    registry::{Figures, Rates, SUBJECTS},
    server::Memory,
};

/// The measured values beside the rows.
pub struct Facts {
    pub idle: Memory,
    pub loaded: Memory,
    pub first_answer_milliseconds: f64,
    pub driver: Costs,
    pub loading_milliseconds: f64,
    pub registry: Figures,
    pub namespaces: namespaces::Figures,
    pub rounds: u32,
    pub requests: u32,
}

/// Returns the whole page. The first row is the baseline of the ratios.
pub fn table(rows: &[(&str, &[Sample], usize)], facts: &Facts) -> String {
    let mut out = format!(
        "# Benchmarks\n\nWritten by `scripts/bench`: {} rounds of {} requests for each row; the load generator (h2load) runs on the same machine. Each \
         ratio compares a row with the first row in the same round. For mapped routes, the last column compares with the annotated route that does the same; \
         for the registry, with a bare route that returns the same bytes. The table shows medians. Rates depend on the machine and on other load; ratios depend on them \
         much less.\n\n\
         | what | requests / s | ratio | CPU µs / request | ratio | second ratio: rate, CPU |\n|---|---:|---:|---:|---:|---:|\n",
        facts.rounds, facts.requests
    );
    let base = rows.first().map_or(&[][..], |(_, samples, _)| samples);
    for (name, samples, second_baseline) in rows {
        let plain = rows.get(*second_baseline).filter(|_| *second_baseline > 0).map_or(String::new(), |(_, plain, _)| {
            let ratio = |value: fn(&Sample) -> f64| {
                median(samples.iter().zip(*plain).map(|(sample, plain)| value(sample) / value(plain)).collect())
            };
            format!("{:.2}, {:.2}", ratio(|sample| sample.rate), ratio(|sample| sample.cpu))
        });
        let ratio =
            |value: fn(&Sample) -> f64| median(samples.iter().zip(base).map(|(sample, base)| value(sample) / value(base)).collect());
        let median_of = |value: fn(&Sample) -> f64| median(samples.iter().map(value).collect());
        let _ = writeln!(
            out,
            "| {name} | {:.0} | {:.2} | {:.1} | {:.2} | {plain} |",
            median_of(|sample| sample.rate),
            ratio(|sample| sample.rate),
            median_of(|sample| sample.cpu),
            ratio(|sample| sample.cpu)
        );
    }
    let _ = write!(
        out,
        "\nMemory is resident memory. The part that is not private consists of pages of the program and of libraries, which the system shares and can \
         reclaim. The CPU time in the transcoder's row is the sum of Envoy and Prism: it is the cost of REST in front of a gRPC service.\n\n\
         | the process | |\n|---|---:|\n| start to first answer | {:.0} ms |\n| memory, idle | {} |\n| memory, after the load | {} |\n\
         | memory driver, get | {:.0} ns |\n| memory driver, set | {:.0} ns |\n| a definition of {} routes, loaded | {:.0} ms |\n",
        facts.first_answer_milliseconds,
        memory_text(facts.idle),
        memory_text(facts.loaded),
        facts.driver.get,
        facts.driver.set,
        crate::loading::ROUTES,
        facts.loading_milliseconds
    );
    let Figures { memory, sqlite, hundred, thousand_megabytes, list_milliseconds } = &facts.registry;
    let rates = |rates: &Rates| format!("{:.0} | {:.0} | {:.0}", rates.registrations, rates.same, rates.checks);
    let _ = write!(
        out,
        "\nThe schema registry with eight concurrent clients, calls per second. Each registration is a new schema in a new subject, and each check \
         compares with the stored schema.\n\n\
         | backend | new schemas | known schemas | checks |\n|---|---:|---:|---:|\n| memory | {} |\n| SQLite | {} |\n\n\
         | the registry | |\n|---|---:|\n| memory of a gateway that starts with 100 schemas | {} |\n\
         | memory for 1,000 more schemas (400 bytes each) | {thousand_megabytes:.1} MB |\n| list {SUBJECTS} subjects | {list_milliseconds:.0} ms |\n",
        rates(memory),
        rates(sqlite),
        memory_text(*hundred)
    );
    out.push_str(&namespaces(&facts.namespaces));
    out
}

/// Returns the table of a gateway with many namespaces.
pub fn namespaces(figures: &namespaces::Figures) -> String {
    let namespaces::Figures { start_milliseconds, change_milliseconds: (inside, outside), kilobytes, last_to_first: (rest, grpc), mapped } =
        figures;
    format!(
        "\n| {} namespaces | |\n|---|---:|\n| start to first answer | {start_milliseconds:.0} ms |\n\
         | change of one namespace: in the gateway; from SIGHUP, with reading the file | {inside:.0} ms; {outside:.0} ms |\n\
         | private memory of a namespace | {kilobytes:.1} kB |\n\
         | CPU time of a call of the last namespace, compared with one of the first: REST; gRPC | {rest:.2}; {grpc:.2} |\n\
         | the same with 1,000 mapped frontends | {mapped:.2} |\n",
        namespaces::NAMESPACES
    )
}

fn memory_text(memory: Memory) -> String {
    format!("{:.1} MB, of which {:.1} MB are private", memory.resident, memory.own)
}
