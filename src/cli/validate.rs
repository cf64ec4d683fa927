//! `prism validate`: checks a configuration as a start does, without connections and ports.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use super::{
    CheckedPlan, Outcome, check, known,
    output::{print_note, print_text},
    style,
};
use prism_config::{Config, Known, Namespace, Source};
use prism_registry::SlotCheck;
use prism_settings::without_user_info;

const EXAMPLES: &str = "\
Examples:
  prism validate prism.yaml
  prism validate prism.yaml && prism serve --config prism.yaml
  REDIS_PASSWORD=x prism validate prism.yaml    references are resolved, so they must lead somewhere

Finds everything that `prism serve` finds at its start, except for ports and connections: settings of drivers, certificates and
definitions of frontends are checked too. Exit code 0: valid, 1: there are problems, 2: the file can't be read.";

/// Arguments of `prism validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The configuration file
    pub file: PathBuf,
}

/// Prints each slot with ✓ and ✗ for its interfaces, then every problem.
pub fn run(args: &Args) -> Outcome {
    if let Err(error) = std::fs::File::open(&args.file).and_then(|file| file.metadata()) {
        print_note(format_args!("{} {}: the file can't be read: {error}", style::error("error:"), args.file.display()));
        return Ok(ExitCode::from(2));
    }
    let known = known();
    let CheckedPlan { config, problems, .. } = check(&Source::find(Some(args.file.clone())), &known);
    let mut text = report(&config, &known);
    for warning in &config.warnings {
        let _ = writeln!(text, "{} {warning}", style::heading("warning:"));
    }
    let count: usize = problems.iter().map(|problems| problems.list.len()).sum();
    if count == 0 {
        let _ = writeln!(text, "{}", style::good("✅ Configuration valid"));
        return print_text(&text);
    }
    for problems in problems {
        let _ = writeln!(text, "{problems}");
    }
    let noun = if count == 1 { "problem" } else { "problems" };
    let _ = writeln!(text, "\n{}", style::bad(&format!("❌ Configuration invalid: {count} {noun}")));
    print_text(&text)?;
    Ok(ExitCode::FAILURE)
}

fn report(config: &Config, known: &Known<'_>) -> String {
    let mut text = String::new();
    for namespace in &config.namespaces {
        // Writing into a String can't fail.
        let _ = writeln!(text, "{}", style::heading(&format!("Validating namespace: {}", namespace.name)));
        let pattern = known.registry.pattern(&namespace.pattern);
        let _ = writeln!(text, "Pattern: {} {}\n", namespace.pattern, pattern.map_or("", |pattern| &pattern.version));
        if let Some(remote) = &namespace.remote {
            // A URL with user information is a problem, reported below, and its password is not printed.
            let _ = writeln!(text, "Served by: {}, namespace {}\n", without_user_info(&remote.url), remote.namespace);
        }
        for check in checks(config, known, namespace) {
            text.push_str(&coloured(&check));
            text.push('\n');
        }
    }
    text
}

/// Checks the slots whose backends have a known kind. The other slots are among the problems.
fn checks(config: &Config, known: &Known<'_>, namespace: &Namespace) -> Vec<String> {
    let Some(pattern) = known.registry.pattern(&namespace.pattern) else { return Vec::new() };
    let check = |(name, wanted)| {
        let slot = namespace.slots.get(name)?;
        let backend = known.registry.backend(&config.backends.get(&slot.backend)?.kind)?;
        let check = SlotCheck::new(name, wanted, backend).to_string();
        // The check contains only the kind of the backend, but its user knows it by its name.
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
