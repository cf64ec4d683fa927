//! `prism validate`: a configuration held against the registry and the drivers, slot by slot.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use super::{Outcome, known, output::print_text, style};
use crate::app;
use prism_config::{self as config, Checked, Config, Known, Namespace, Source};
use prism_frontend::definition::Texts;
use prism_registry::SlotCheck;
use prism_yaml::Problems;

const EXAMPLES: &str = "\
Examples:
  prism validate prism.yaml
  prism validate prism.yaml && prism serve --config prism.yaml
  REDIS_PASSWORD=x prism validate prism.yaml    references are resolved, so they must lead somewhere

Nothing is connected; definitions of frontends are compiled. Exit code 0: valid, 1: there are problems, 2: the file can't be read.";

/// Arguments of `prism validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The configuration
    pub file: PathBuf,
}

/// Prints each slot with ✓ and ✗ for its interfaces, then that all is well, or every problem.
pub fn run(args: &Args) -> Outcome {
    if let Err(error) = std::fs::File::open(&args.file).and_then(|file| file.metadata()) {
        eprintln!("{} {}: the file can't be read: {error}", style::error("error:"), args.file.display());
        return Ok(ExitCode::from(2));
    }
    let known = known();
    let Checked { config, problems } = config::check(&Source::find(Some(args.file.clone())), &known);
    let mut text = report(&config, &known);
    for warning in &config.warnings {
        let _ = writeln!(text, "{} {warning}", style::heading("warning:"));
    }
    let found = definitions(&config);
    let all: Vec<_> = [&problems].into_iter().chain(&found).filter(|problems| !problems.list.is_empty()).collect();
    let count: usize = all.iter().map(|problems| problems.list.len()).sum();
    if count == 0 {
        let _ = writeln!(text, "{}", style::good("✅ Configuration valid"));
        return print_text(&text);
    }
    for problems in all {
        let _ = writeln!(text, "{problems}");
    }
    let noun = if count == 1 { "problem" } else { "problems" };
    let _ = writeln!(text, "\n{}", style::bad(&format!("❌ Configuration invalid: {count} {noun}")));
    print_text(&text)?;
    Ok(ExitCode::FAILURE)
}

/// What is wrong with the definitions that namespaces bind, each told once, in its own file.
fn definitions(config: &Config) -> Vec<Problems> {
    let mut found: Vec<Problems> = Vec::new();
    for binding in config.namespaces.iter().flat_map(|namespace| &namespace.frontends) {
        let Some(definition) = binding.definition.as_deref().filter(|_| binding.enabled) else { continue };
        // A file that can't be read is a problem of the configuration, and told there.
        let Ok(texts) = Texts::find(definition) else { continue };
        for problems in app::compile(&texts, &binding.settings).err().into_iter().flatten() {
            if !found.contains(&problems) {
                found.push(problems);
            }
        }
    }
    found
}

fn report(config: &Config, known: &Known<'_>) -> String {
    let mut text = String::new();
    for namespace in &config.namespaces {
        // Writing into a String can't fail.
        let _ = writeln!(text, "{}", style::heading(&format!("Validating namespace: {}", namespace.name)));
        let pattern = known.registry.pattern(&namespace.pattern);
        let _ = writeln!(text, "Pattern: {} {}\n", namespace.pattern, pattern.map_or("", |pattern| &pattern.version));
        if let Some(remote) = &namespace.remote {
            let _ = writeln!(text, "Served by: {}, namespace {}\n", remote.url, remote.namespace);
        }
        for check in checks(config, known, namespace) {
            text.push_str(&coloured(&check));
            text.push('\n');
        }
    }
    text
}

/// The slots that are filled with backends of a known kind. The others are problems.
fn checks(config: &Config, known: &Known<'_>, namespace: &Namespace) -> Vec<String> {
    let Some(pattern) = known.registry.pattern(&namespace.pattern) else { return Vec::new() };
    let check = |(name, wanted)| {
        let slot = namespace.slots.get(name)?;
        let backend = known.registry.backend(&config.backends.get(&slot.backend)?.kind)?;
        let check = SlotCheck::new(name, wanted, backend).to_string();
        // The check knows kinds only; people know their backends by name.
        if slot.backend == *backend.name {
            return Some(check);
        }
        let (kind, named) = (format!("  Backend: {}", backend.name), format!("  Backend: {} ({})", slot.backend, backend.name));
        Some(check.replacen(&kind, &named, 1))
    };
    pattern.slots.iter().filter_map(|(name, wanted)| check((name, wanted))).collect()
}

fn coloured(text: &str) -> String {
    text.replace('✓', &style::good("✓")).replace('✗', &style::bad("✗"))
}
