//! Search for backends by interfaces and capabilities.

use serde::Serialize;

use super::{Backend, Interface, Registry, unknown_name};

/// The criteria of a search. A backend must meet all of them.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Interfaces (`keyvalue_scan`) or whole data models (`keyvalue`, which means its basic interface).
    pub interfaces: Vec<String>,
    /// Capabilities (`scan_support`), in the data models of `interfaces`.
    pub capabilities: Vec<String>,
}

/// A backend that meets the criteria.
#[derive(Clone, Debug, Serialize)]
pub struct Match<'a> {
    /// The backend.
    #[serde(skip)]
    pub backend: &'a Backend,
    /// Whether its driver implements everything; otherwise some of it is planned.
    pub implemented: bool,
    /// The interfaces that the search resolved to.
    pub interfaces: Vec<String>,
}

impl Registry {
    /// Resolves a query to interfaces. The error for an unknown name suggests known names.
    pub fn resolve(&self, query: &Query) -> Result<Vec<&Interface>, String> {
        let mut wanted = Vec::new();
        let mut models = Vec::new();
        for name in &query.interfaces {
            if let Some(model) = self.model(name) {
                models.push(model.name.as_str());
                wanted.extend(model.interfaces.first());
            } else if let Some(interface) = self.interface(name) {
                models.push(interface.model());
                wanted.push(interface);
            } else {
                let names = self.models.iter().map(|model| model.name.as_str());
                let names = names.chain(self.interfaces().map(|interface| interface.name.as_str())).collect::<Vec<_>>();
                return Err(unknown_name("interface", name, names));
            }
        }
        for name in &query.capabilities {
            wanted.extend(self.expressing(name, &models)?);
        }
        let mut seen = std::collections::HashSet::new();
        wanted.retain(|interface| seen.insert(interface.name.as_str()));
        Ok(wanted)
    }

    /// Finds the interfaces that express a capability in the given data models. Without data models, exactly one interface must express
    /// it.
    fn expressing(&self, capability: &str, models: &[&str]) -> Result<Vec<&Interface>, String> {
        let Some(found) = self.capability(capability) else {
            return Err(unknown_name("capability", capability, self.capabilities.iter().map(|one| one.name.as_str())));
        };
        let interfaces = found.interfaces.iter().filter_map(|name| self.interface(name)).collect::<Vec<_>>();
        if models.is_empty() {
            if let [only] = interfaces[..] {
                return Ok(vec![only]);
            }
            let names = interfaces.iter().map(|interface| interface.model()).collect::<Vec<_>>().join(", ");
            return Err(format!("capability `{capability}` is expressed in several data models; add --interface with one of: {names}"));
        }
        let chosen = interfaces.iter().copied().filter(|interface| models.contains(&interface.model())).collect::<Vec<_>>();
        if chosen.is_empty() {
            let names = interfaces.iter().map(|interface| interface.model()).collect::<Vec<_>>().join(", ");
            return Err(format!("{} has no capability `{capability}`; it is expressed in: {names}", models.join(", ")));
        }
        Ok(chosen)
    }

    /// Finds the backends that implement, or plan, all interfaces of a query; the implemented ones first.
    pub fn find(&self, query: &Query) -> Result<Vec<Match<'_>>, String> {
        let wanted = self.resolve(query)?;
        let mut found = self
            .backends
            .iter()
            .filter(|backend| wanted.iter().all(|one| backend.implements(&one.name) || backend.plans(&one.name)))
            .map(|backend| Match {
                backend,
                implemented: wanted.iter().all(|one| backend.implements(&one.name)),
                interfaces: wanted.iter().map(|one| one.name.to_string()).collect(),
            })
            .filter(|found| !found.backend.implements.is_empty() || !found.backend.planned.is_empty())
            .collect::<Vec<_>>();
        found.sort_by_key(|found| !found.implemented);
        Ok(found)
    }
}
