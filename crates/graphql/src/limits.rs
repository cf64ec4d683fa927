//! Limits of documents.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Pos, Positioned, Variables,
    parser::types::{ExecutableDocument, Field, FragmentDefinition, OperationDefinition, Selection, SelectionSet},
};
use async_graphql_value::Value as DocumentValue;

use crate::{RequestError, model::uint64_of};

/// Limits of requests.
#[derive(Clone, Copy, Debug)]
pub struct GraphqlLimits {
    /// Whether the schema may be read.
    pub introspection: bool,
    /// Longest chain of fields.
    pub max_depth: usize,
    /// Maximum cost: fields, those below a list with `first` counted as often as it says.
    pub max_complexity: usize,
    /// Maximum fields with an alias.
    pub max_aliases: usize,
    /// Maximum directives.
    pub max_directives: usize,
    /// Maximum tokens.
    pub max_tokens: usize,
    /// Maximum bytes of a response.
    pub max_response_bytes: usize,
}

/// The reason of the error of a document beyond a limit.
pub const LIMIT: &str = "GRAPHQL_LIMIT";

/// Maximum brackets around a token, and maximum selections around a field, with those of fragments. What reads documents calls itself for
/// each of them.
pub const MAX_NESTING: usize = 64;

/// Maximum cost of the introspection in a document. Its whole answer is in memory at once. The queries of tools cost about 200,000.
const MAX_INTROSPECTION_COST: usize = 1_000_000;
/// The field of a subgraph with its schema as text.
const SERVICE: &str = "_service";
/// The lists in the schema of a schema, and how many items they are counted as. Each member of a service may be the whole schema.
const INTROSPECTION_LISTS: [(&str, usize); 9] = [
    ("types", 100),
    ("fields", 10),
    ("inputFields", 10),
    ("args", 3),
    ("enumValues", 5),
    ("interfaces", 2),
    ("possibleTypes", 2),
    ("directives", 5),
    (SERVICE, 200_000),
];

/// Arguments that say how long a list may be.
const PAGE_SIZES: [&str; 2] = ["first", "limit"];
/// The argument of the entities of a subgraph: a list of those that are wanted.
const ENTITIES: &str = "representations";

/// What a selection costs.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    depth: usize,
    fields: usize,
    /// The fields, those below a list of [`INTROSPECTION_LISTS`] counted as often as it says.
    values: usize,
    /// The same, of `__schema`, `__type` and `_service` only.
    introspection: usize,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.depth = self.depth.max(other.depth);
        self.fields = self.fields.saturating_add(other.fields);
        self.values = self.values.saturating_add(other.values);
        self.introspection = self.introspection.saturating_add(other.introspection);
    }
}

/// Measures the operations of a document. The cost of each fragment is computed once, so that fragments in fragments cost nothing here.
pub struct DocumentMeter<'d> {
    fragments: &'d HashMap<Name, Positioned<FragmentDefinition>>,
    known: HashMap<&'d str, Cost>,
    /// The fragments around the current selection.
    open: HashSet<&'d str>,
    /// `None`: they are not known yet.
    variables: Option<&'d Variables>,
    aliases: usize,
    directives: usize,
    introspects: bool,
    /// The number of selections around the current field.
    nesting: usize,
}

impl<'d> DocumentMeter<'d> {
    /// Checks a document before it is validated.
    pub fn check_document(document: &'d ExecutableDocument, limits: &GraphqlLimits) -> Result<(), RequestError> {
        for (_, operation) in document.operations.iter() {
            Self::new(document, None).check(&operation.node, limits)?;
        }
        // Those that no operation uses.
        let mut meter = Self::new(document, None);
        for (name, fragment) in &document.fragments {
            meter.fragment(name, fragment)?;
        }
        Ok(())
    }

    /// Checks an operation with its variables.
    pub fn check_operation(
        document: &'d ExecutableDocument,
        operation: &'d OperationDefinition,
        variables: &'d Variables,
        limits: &GraphqlLimits,
    ) -> Result<(), RequestError> {
        Self::new(document, Some(variables)).check(operation, limits)
    }

    fn new(document: &'d ExecutableDocument, variables: Option<&'d Variables>) -> Self {
        Self {
            fragments: &document.fragments,
            known: HashMap::new(),
            open: HashSet::new(),
            variables,
            aliases: 0,
            directives: 0,
            introspects: false,
            nesting: 0,
        }
    }

    fn check(mut self, operation: &'d OperationDefinition, limits: &GraphqlLimits) -> Result<(), RequestError> {
        self.directives += operation.directives.len();
        let cost = self.selection(&operation.selection_set)?;
        let exceeded = |what: &str, found: usize, limit: usize, setting: &str| {
            let message = format!("the operation has {what} of {found}; the limit is {limit} (settings.{setting} of the frontend)");
            RequestError::one(LIMIT, message, None)
        };
        if self.introspects && !limits.introspection {
            return Err(RequestError::one("INTROSPECTION_DISABLED", "the schema of this namespace can't be read by introspection", None));
        }
        if cost.introspection > MAX_INTROSPECTION_COST {
            let message =
                "the operation reads too much of the schema; nest fewer lists of types, fields and arguments, or read fewer at once";
            return Err(RequestError::one(LIMIT, message, None));
        }
        for (what, found, limit, setting) in [
            ("a depth", cost.depth, limits.max_depth, "max_depth"),
            ("a cost", cost.fields, limits.max_complexity, "max_complexity"),
            ("a number of aliases", self.aliases, limits.max_aliases, "max_aliases"),
            ("a number of directives", self.directives, limits.max_directives, "max_directives"),
        ] {
            if found > limit {
                return Err(exceeded(what, found, limit, setting));
            }
        }
        Ok(())
    }

    fn selection(&mut self, set: &'d Positioned<SelectionSet>) -> Result<Cost, RequestError> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            let message = format!("the document has more than {MAX_NESTING} selections in each other");
            return Err(RequestError::one(LIMIT, message, Some(set.pos)));
        }
        let mut cost = Cost::default();
        for item in &set.node.items {
            self.directives += item.node.directives().len();
            cost.add(match &item.node {
                Selection::Field(field) => self.field(&field.node)?,
                Selection::InlineFragment(fragment) => self.selection(&fragment.node.selection_set)?,
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    match self.fragments.get_key_value(name) {
                        Some((name, fragment)) => self.fragment(name, fragment)?,
                        // The validation reports it.
                        None => Cost::default(),
                    }
                }
            });
        }
        self.nesting -= 1;
        Ok(cost)
    }

    fn fragment(&mut self, name: &'d Name, fragment: &'d Positioned<FragmentDefinition>) -> Result<Cost, RequestError> {
        if let Some(known) = self.known.get(name.as_str()) {
            return Ok(*known);
        }
        if !self.open.insert(name) {
            return Err(cycle(name, fragment.pos));
        }
        self.directives += fragment.node.directives.len();
        let cost = self.selection(&fragment.node.selection_set)?;
        self.open.remove(name.as_str());
        self.known.insert(name, cost);
        Ok(cost)
    }

    fn field(&mut self, field: &'d Field) -> Result<Cost, RequestError> {
        let name = field.name.node.as_str();
        self.aliases += usize::from(field.alias.is_some());
        let introspects = matches!(name, "__schema" | "__type" | SERVICE);
        self.introspects |= introspects;
        let below = self.selection(&field.selection_set)?;
        let times = self.page_size(field);
        let items = INTROSPECTION_LISTS.iter().find(|(list, _)| *list == name).map_or(1, |(_, items)| *items);
        let values = below.values.saturating_mul(items).saturating_add(1);
        Ok(Cost {
            depth: below.depth + 1,
            fields: below.fields.saturating_mul(times).saturating_add(1),
            values,
            introspection: if introspects { values } else { below.introspection },
        })
    }

    /// Returns how often the selection below a field may be needed.
    fn page_size(&self, field: &Field) -> usize {
        let argument = PAGE_SIZES.iter().chain([&ENTITIES]).find_map(|name| field.get_argument(name));
        let value = match argument.map(|value| &value.node) {
            // Also if its items have variables.
            Some(DocumentValue::List(items)) => return items.len().max(1),
            Some(DocumentValue::Variable(name)) => self.variables.and_then(|variables| variables.get(name)).cloned(),
            Some(value) => value.clone().into_const(),
            None => None,
        };
        if let Some(async_graphql::Value::List(entities)) = &value {
            return entities.len().max(1);
        }
        value.as_ref().and_then(uint64_of).and_then(|number| usize::try_from(number).ok()).unwrap_or(1).max(1)
    }
}

fn cycle(name: &str, at: Pos) -> RequestError {
    RequestError::one("GRAPHQL_VALIDATION", format!("the fragment {name} contains itself"), Some(at))
}
