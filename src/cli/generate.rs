//! `prism generate config`: prints a configuration for a pattern and the backends in its slots.

use std::fmt::Write as _;

use super::{Outcome, output::print_text};
use crate::driver;
use prism_registry::{Backend, DriverStatus, Pattern, Registry, Slot, SlotCheck, Status, unknown_name};

const EXAMPLES: &str = "\
Examples:
  prism generate config --pattern=keyvalue --slot=storage:sqlite > prism.yaml
  prism generate config --pattern=keyvalue --slot=storage:redis --namespace=sessions
  prism serve --config prism.yaml";

/// Arguments of `prism generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to generate.
    #[command(subcommand)]
    pub command: Command,
}

/// What to generate.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print a configuration for a pattern, with a backend for each of its slots
    Config(ConfigArgs),
}

/// Arguments of `prism generate config`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ConfigArgs {
    /// The pattern, as `keyvalue`; `prism registry patterns list` lists all
    #[arg(short, long, value_name = "PATTERN")]
    pub pattern: String,

    /// Backend for a slot, as `storage:sqlite`; `prism registry patterns describe PATTERN` lists the slots
    #[arg(short, long = "slot", value_name = "SLOT:BACKEND", value_parser = parse_slot)]
    pub slots: Vec<(String, String)>,

    /// Name of the namespace. Default: the name of the pattern
    #[arg(short, long, value_name = "NAME", value_parser = parse_namespace)]
    pub namespace: Option<String>,

    /// Allow planned patterns and drivers; `prism serve` accepts the configuration once they are implemented
    #[arg(long)]
    pub draft: bool,
}

/// Runs `prism generate`.
pub fn run(args: &Args) -> Outcome {
    let Command::Config(args) = &args.command;
    match generate_config(Registry::embedded(), args) {
        Ok(text) => print_text(&text),
        Err(problems) => Err(problems.join("\n       ").into()),
    }
}

fn parse_slot(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((slot, backend)) if !slot.is_empty() && !backend.is_empty() => Ok((slot.to_owned(), backend.to_owned())),
        _ => Err("write the name of the slot and the backend, as `storage:sqlite`".to_owned()),
    }
}

fn parse_namespace(text: &str) -> Result<String, String> {
    let letters = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    if letters && text.len() <= 63 && text.starts_with(|first: char| first.is_ascii_lowercase()) {
        Ok(text.to_owned())
    } else {
        Err("a lower-case letter, then letters, digits, `-` and `_`; at most 63 characters".to_owned())
    }
}

/// A slot, its backend, and their comparison.
type Filled<'a> = (&'a str, &'a Backend, SlotCheck);

fn generate_config(registry: &Registry, args: &ConfigArgs) -> Result<String, Vec<String>> {
    let Some(pattern) = registry.pattern(&args.pattern) else {
        return Err(vec![unknown_name("pattern", &args.pattern, registry.patterns.iter().map(|one| one.name.as_str()))]);
    };
    let mut problems = Vec::new();
    if pattern.executor == Status::Planned && !args.draft {
        let can = registry.patterns.iter().filter(|one| one.executor == Status::Implemented).map(|one| one.name.as_str());
        let can = can.collect::<Vec<_>>().join(", ");
        problems.push(format!("pattern `{}` is planned and can't be served yet; there are: {can}. --draft prints it anyway", pattern.name));
    }
    for (index, (name, _)) in args.slots.iter().enumerate() {
        if !pattern.slots.contains_key(name) {
            problems.push(unknown_name("slot", name, pattern.slots.keys().map(String::as_str)));
        }
        if args.slots[..index].iter().any(|(earlier, _)| earlier == name) {
            problems.push(format!("slot `{name}` is given twice"));
        }
    }
    let mut filled = Vec::new();
    for (name, slot) in &pattern.slots {
        match fill_slot(registry, args, name, slot) {
            Ok(Some(one)) => filled.push(one),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(render(pattern, args, &filled)) } else { Err(problems) }
}

fn fill_slot<'a>(registry: &'a Registry, args: &ConfigArgs, name: &'a str, slot: &Slot) -> Result<Option<Filled<'a>>, String> {
    let fits = |backend: &&Backend| {
        let check = SlotCheck::new(name, slot, backend);
        check.is_satisfied() || (args.draft && check.is_conceivable())
    };
    let fitting = || registry.backends.iter().filter(fits).map(|backend| backend.name.as_str()).collect::<Vec<_>>().join(", ");
    let Some((_, wanted)) = args.slots.iter().find(|(given, _)| given == name) else {
        return if slot.optional {
            Ok(None)
        } else {
            Err(format!("slot `{name}` is empty; fill it with --slot={name}:BACKEND, one of: {}", fitting()))
        };
    };
    let Some(backend) = registry.backend(wanted) else {
        return Err(unknown_name("backend", wanted, registry.backends.iter().map(|one| one.name.as_str())));
    };
    let check = SlotCheck::new(name, slot, backend);
    if fits(&backend) && (args.draft || driver::kind(wanted).is_some()) {
        return Ok(Some((name, backend, check)));
    }
    let reason = if backend.driver != DriverStatus::Implemented && check.is_conceivable() {
        format!("there is no driver for {wanted} yet, so it can't fill slot `{name}`")
    } else if check.is_satisfied() {
        format!("the {wanted} driver is not part of this build; build with --features {wanted}")
    } else {
        check.complaint()
    };
    Err(format!("{reason}; these do: {}", fitting()))
}

fn render(pattern: &Pattern, args: &ConfigArgs, filled: &[Filled<'_>]) -> String {
    let mut out = format!("# {}: {}.\n", pattern.title, pattern.description);
    // Writing into a String can't fail.
    let mut backends = filled.iter().map(|(_, backend, _)| *backend).collect::<Vec<_>>();
    backends.sort_by_key(|backend| backend.name.as_str());
    backends.dedup_by_key(|backend| backend.name.as_str());
    out.push_str("backends:\n");
    for backend in backends {
        let _ = writeln!(out, "  {}:\n    type: {}", backend.name, backend.name);
        if let Some(connection) = &backend.connection {
            let _ = writeln!(out, "    {}: \"{}\"", connection.setting, connection.example);
        }
    }
    let name = args.namespace.as_deref().unwrap_or(&pattern.name);
    let _ = writeln!(out, "\nnamespaces:\n  - name: {name}\n    pattern: {}\n    pattern_version: {}", pattern.name, pattern.version);
    out.push_str("    slots:\n");
    for (slot, backend, check) in filled {
        let _ = writeln!(out, "      {slot}:\n        backend: {}\n        interfaces:", backend.name);
        for requirement in &check.requirements {
            if requirement.implemented || (args.draft && requirement.planned) {
                let _ = writeln!(out, "          - {}", requirement.interface);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(pattern: &str, slots: &[(&str, &str)], draft: bool) -> Result<String, String> {
        let slots = slots.iter().map(|(slot, backend)| ((*slot).to_owned(), (*backend).to_owned())).collect();
        let args = ConfigArgs { pattern: pattern.to_owned(), slots, namespace: Some("iot-devices".to_owned()), draft };
        generate_config(Registry::embedded(), &args).map_err(|problems| problems.join("\n"))
    }

    #[test]
    fn a_draft_may_use_planned_patterns_and_drivers() {
        let text = generate("saga", &[("state", "redis"), ("steps", "nats")], true).unwrap();
        assert!(text.contains("  nats:\n    type: nats\n    url: \"nats://localhost:4222\"\n"), "{text}");
        assert!(
            text.contains(
                "      steps:\n        backend: nats\n        interfaces:\n          - queue_basic\n          - queue_visibility\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let problems = generate("saga", &[("stat", "redis"), ("steps", "sqs")], false).unwrap_err();
        for expected in [
            "pattern `saga` is planned and can't be served yet; there are: consumer, event-sourcing, interfaces, keyvalue, multicast-registry, object-store, producer, schema-registry, session-store, work-queue",
            "unknown slot `stat`; did you mean `state`?",
            "slot `state` is empty; fill it with --slot=state:BACKEND, one of: memory, nats, postgres, redis, sqlite",
            "there is no driver for sqs yet, so it can't fill slot `steps`; these do: memory, nats, postgres, sqlite",
        ] {
            assert!(problems.contains(expected), "{problems}");
        }
        assert!(generate("keyvalu", &[], false).unwrap_err().contains("did you mean `keyvalue`?"));
        let problems = generate("multicast-registry", &[("durability", "redis"), ("messaging", "redsi")], true).unwrap_err();
        assert!(problems.contains("slot `durability` needs queue_basic, queue_visibility, queue_dead_letter, which"), "{problems}");
        assert!(problems.contains("unknown backend `redsi`; did you mean `redis`?"), "{problems}");
    }

    #[test]
    fn arguments_are_checked() {
        assert!(parse_slot("storage").is_err() && parse_slot(":x").is_err() && parse_slot("a:").is_err());
        assert!(parse_namespace("Upper").is_err() && parse_namespace("").is_err() && parse_namespace("a-b_1").is_ok());
    }
}
