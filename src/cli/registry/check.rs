//! `prism registry validate` and `prism registry matrix`.

use std::process::ExitCode;

use serde::Serialize;

use super::{LEGEND, compiled};
use crate::cli::{
    Outcome,
    output::{Format, columns_apart, print, print_text},
};
use prism_registry::{Cell, Registry, Row, Totals, validate as check};

#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    problems: Vec<String>,
    drivers_left_out: &'a [String],
    totals: Totals,
}

pub(super) fn validate(registry: &Registry, format: Format) -> Outcome {
    let compiled = compiled(registry);
    let problems = check(registry, &compiled);
    let report = Report {
        valid: problems.0.is_empty(),
        problems: problems.0.iter().map(ToString::to_string).collect(),
        drivers_left_out: &compiled.left_out,
        totals: registry.totals(),
    };
    print(format, &report, || text(&report))?;
    Ok(if report.valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(report: &Report<'_>) -> String {
    let Totals { models, interfaces, backends, drivers, implementations, patterns, patterns_implemented, .. } = report.totals;
    let mut lines = vec![format!("Validating the registry: {models} data models, {interfaces} interfaces"), String::new()];
    lines.extend(report.problems.iter().map(|problem| format!("✗ {problem}")));
    if report.valid {
        lines.push("✓ every interface has its proto and its capability".to_owned());
        lines.push(format!(
            "✓ {backends} backends; the {drivers} with a driver declare the {implementations} interfaces that it implements"
        ));
        lines.push(format!("✓ {patterns} patterns, of which {patterns_implemented} can be served; every slot can be filled"));
        lines.push("✓ matrix.yaml is up to date".to_owned());
    }
    let left_out = report.drivers_left_out.iter();
    lines.extend(left_out.map(|name| format!("- {name}: the driver is not part of this build, so what it declares was not compared")));
    lines.push(String::new());
    lines.push(if report.valid { "✅ Registry valid\n" } else { "❌ Registry not valid\n" }.to_owned());
    lines.join("\n")
}

pub(super) fn matrix(registry: &Registry, format: Option<Format>) -> Outcome {
    let Some(format) = format.filter(|format| *format != Format::Yaml) else { return print_text(&registry.matrix_yaml()) };
    let matrix = registry.matrix();
    print(format, &matrix, || {
        let mut rows = Vec::new();
        rows.push([String::new()].into_iter().chain(matrix.backends.keys().cloned()).collect());
        for interface in registry.interfaces() {
            let cells = matrix.backends.values().map(|row| match row.interfaces.get(interface.name.as_str()) {
                Some(Cell::Implemented) => "✓",
                Some(Cell::Planned) => "○",
                Some(Cell::Absent) | None => "·",
            });
            rows.push([interface.name.to_string()].into_iter().chain(cells.map(str::to_owned)).collect());
        }
        let sum = |what: fn(&Row) -> usize| matrix.backends.values().map(move |row| what(row).to_string());
        rows.push(["implemented".to_owned()].into_iter().chain(sum(|row| row.implemented)).collect());
        rows.push(["planned".to_owned()].into_iter().chain(sum(|row| row.planned)).collect());
        columns_apart(2, &rows) + LEGEND
    })
}
