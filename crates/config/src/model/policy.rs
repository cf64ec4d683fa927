//! Policies and quotas.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::ResolvedSettings;

/// Who may call what. Once there is a rule, a call is denied unless a rule allows it.
#[derive(Clone, Debug, Default, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Conditions about callers, by name: CEL expressions over `principal` and `peer`, as `"'readers' in principal.groups"`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, String>,
    /// Rules. One that denies beats every one that allows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<PolicyRule>,
    /// An external service that also decides, about all calls that the rules allow, or about all calls if there are no rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::AnyDecisionPoint>")]
    pub decision_point: Option<ResolvedSettings>,
    /// Which decisions are logged.
    #[serde(skip_serializing_if = "PolicyLog::is_empty")]
    pub log: PolicyLog,
}

/// Which decisions of a policy are logged: 1 = each, 100 = one of 100, 0 = none. The lines have the target `prism::policy` and no values of requests.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyLog {
    /// Calls that are denied. Default: 0.
    pub denied: u32,
    /// Calls that are allowed. Default: 0.
    pub allowed: u32,
}

impl PolicyLog {
    /// Whether nothing is logged.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A rule of a policy.
#[derive(Clone, Debug, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PolicyRule {
    /// Unique name: a lower-case letter, then letters, digits, `-` and `_`; at most 63 characters.
    pub name: String,
    /// What the rule does. Default: `allow`.
    #[serde(default)]
    pub effect: PolicyEffect,
    /// The namespaces that it is about. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// The RPCs that it is about, as `Store` or `queue_basic.*`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Only RPCs that read, or only those that write. Default: both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<PolicyAccess>,
    /// Roles of which the caller must have one. Default: anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// A CEL expression over `principal`, `call`, `peer` and `request`. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What a caller is told that the rule denies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum PolicyEffect {
    /// It allows calls.
    #[default]
    Allow,
    /// It denies calls.
    Deny,
}

/// What an RPC does with data.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum PolicyAccess {
    /// It has no side effects.
    Read,
    /// It may change data.
    Write,
}

/// How often, and how much at once, the namespace may be called. A call beyond it fails with `RESOURCE_EXHAUSTED`.
#[derive(Clone, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// For each address; of IPv6, for each network (64 bits).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Quota>,
    /// For each caller. All anonymous callers are one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Quota>,
    /// For all callers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Quota>,
    /// As how many calls an RPC counts for each `rate`, by its name. All others count as one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, u32>")]
    pub cost: BTreeMap<String, NonZeroU32>,
}

impl Quotas {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A quota.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Calls in a second, a minute or an hour, as `100/s`, `500/m` or `1000/h`. Default: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub rate: Option<Rate>,
    /// Calls that may come at once. Default: as many as in the period of `rate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub burst: Option<NonZeroU32>,
    /// Calls and open streams at the same time. Default: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
}

/// A number of calls in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The number.
    pub calls: NonZeroU32,
    /// A second, a minute or an hour.
    pub period: Duration,
}

/// The periods of rates, in seconds.
const PERIODS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

impl FromStr for Rate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (calls, unit) = text.split_once('/').ok_or(())?;
        let (_, seconds) = PERIODS.iter().find(|(name, _)| *name == unit).ok_or(())?;
        Ok(Self { calls: calls.parse().map_err(|_| ())?, period: Duration::from_secs(*seconds) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = PERIODS.iter().find(|(_, seconds)| self.period.as_secs() == *seconds).map_or("s", |(name, _)| name);
        write!(f, "{}/{unit}", self.calls)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
