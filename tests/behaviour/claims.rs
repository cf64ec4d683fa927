//! Checks that each driver implements exactly the interfaces that it claims, and that each of them has cases.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use libtest_mimic::{Failed, Trial};
use prism::{
    driver::{KINDS, Kind},
    proto::INTERFACE_NAMES,
};

use crate::{
    arena::{Arena, interfaces, recipe},
    suite::Suite,
};

/// Returns the checks of the drivers and of the suites.
pub fn trials(arena: &Arc<Arena>, suites: &[&'static Suite]) -> Vec<Trial> {
    let mut trials = vec![];
    for kind in KINDS {
        let name = kind.name;
        trials.push(Trial::test(format!("{name}::has_settings_for_tests"), move || has_settings(kind)));
        let arena = arena.clone();
        trials.push(Trial::test(format!("{name}::undeclared_interfaces_are_absent"), move || presence(&arena, kind)));
        trials.push(Trial::test(format!("{name}::registry_agrees"), move || registry(kind)));
        let claimed = interfaces(kind);
        for interface in claimed.clone() {
            let mut cases = suites.iter().filter(|suite| suite.interface == interface).flat_map(|suite| suite.cases_for(&claimed, false));
            if cases.next().is_none() {
                let sentence = format!("{name} claims {interface}, but tests/behaviour has no case for it");
                trials.push(Trial::test(format!("{name}::{interface}::has_cases"), move || Err(sentence.into())));
            }
        }
    }
    let named: Vec<&str> = suites.iter().map(|suite| suite.interface).collect();
    trials.push(Trial::test("suites::name_interfaces_that_exist", move || {
        match named.iter().find(|name| !INTERFACE_NAMES.contains(name)) {
            Some(name) => Err(format!("no interface has the name {name}").into()),
            None => Ok(()),
        }
    }));
    trials
}

fn has_settings(kind: &Kind) -> Result<(), Failed> {
    match recipe(kind.name) {
        Some(_) => Ok(()),
        None => Err(format!("tests/behaviour/arena.rs has no line for the kind {}; add one so that its cases run", kind.name).into()),
    }
}

/// Checks that a real keyspace has exactly the interfaces that the kind claims, and those that the settings of the tests add.
fn presence(arena: &Arena, kind: &'static Kind) -> Result<(), Failed> {
    let subject = arena.subject(kind, "claims")?;
    let claimed: BTreeSet<&str> = interfaces(kind).into_iter().collect();
    let present: BTreeSet<&str> = subject.slot.interfaces.names().into_iter().collect();
    if claimed == present {
        return Ok(());
    }
    let (missing, extra): (Vec<_>, Vec<_>) = (claimed.difference(&present).collect(), present.difference(&claimed).collect());
    Err(format!("claimed but absent: {missing:?}; present but not claimed: {extra:?}").into())
}

fn registry(kind: &Kind) -> Result<(), Failed> {
    #[derive(serde::Deserialize)]
    struct Backend {
        implements: BTreeSet<String>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("registry/backends/{}.yaml", kind.name));
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let backend: Backend = serde_saphyr::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let claimed: BTreeSet<String> = (kind.interfaces)().into_iter().map(str::to_owned).collect();
    if claimed == backend.implements {
        return Ok(());
    }
    let missing: Vec<_> = backend.implements.difference(&claimed).collect();
    let extra: Vec<_> = claimed.difference(&backend.implements).collect();
    Err(format!("{}: lists {missing:?}, which the driver lacks; does not list {extra:?}, which it has", path.display()).into())
}
