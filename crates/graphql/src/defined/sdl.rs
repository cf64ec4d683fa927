//! Reads a schema in the schema definition language ("GraphQL", section 3), and checks it.

use async_graphql::{
    Pos, Positioned,
    parser::{
        parse_schema,
        types::{
            BaseType, EnumType, FieldDefinition, InputObjectType, InputValueDefinition, ObjectType, SchemaDefinition, Type as GraphqlType,
            TypeDefinition, TypeKind, TypeSystemDefinition,
        },
    },
};
use indexmap::IndexMap;

use crate::model::OperationKind;
use prism_frontend::definition::SourceFile;
use prism_yaml::{Position, unknown_name};

/// The scalars of the language.
const SCALARS: [&str; 5] = ["Int", "Float", "String", "Boolean", "ID"];
/// The kinds of operations.
pub const KINDS: [OperationKind; 3] = [OperationKind::Query, OperationKind::Mutation, OperationKind::Subscription];

/// The types of a schema.
#[derive(Debug)]
pub struct SchemaTypes {
    /// The types by their names, in the order of the text.
    pub types: IndexMap<String, Positioned<TypeDefinition>>,
    /// The types of queries, mutations and subscriptions.
    roots: [Option<String>; 3],
}

/// What a named type is.
#[derive(Clone, Copy, Debug)]
pub enum TypeShape<'t> {
    Int,
    Float,
    String,
    Boolean,
    Id,
    /// A scalar of the schema: any JSON.
    Custom,
    Enum(&'t EnumType),
    Object(&'t ObjectType),
    Input(&'t InputObjectType),
}

impl SchemaTypes {
    /// Reads a schema, and reports its problems.
    pub fn read(file: &SourceFile, text: &str) -> Option<Self> {
        let document = match parse_schema(text) {
            Ok(document) => document,
            Err(error) => {
                let at = error.positions().next().map_or(Position::WHOLE_FILE, position);
                file.problem(&at, format!("the schema can't be read: {}", one_line(&error.to_string())));
                return None;
            }
        };
        let (mut types, mut schema) = (IndexMap::new(), None);
        for definition in document.definitions {
            match definition {
                TypeSystemDefinition::Type(found) => {
                    let (name, at) = (found.node.name.node.to_string(), position(found.pos));
                    if found.node.extend {
                        file.problem(&at, format!("`extend` is not supported; write the fields in `{name}` itself"));
                    } else if name.starts_with("__") || SCALARS.contains(&name.as_str()) {
                        file.problem(&at, format!("`{name}` is a type of GraphQL itself; choose another name"));
                    } else if types.insert(name.clone(), found).is_some() {
                        file.problem(&at, format!("the type `{name}` is defined twice"));
                    }
                }
                TypeSystemDefinition::Schema(found) => schema = Some(found),
                TypeSystemDefinition::Directive(found) => {
                    file.problem(&position(found.pos), "directives can't be defined; remove this one");
                }
            }
        }
        let roots = roots(schema.as_ref(), &types);
        let read = Self { types, roots };
        read.check(file);
        file.is_fine().then_some(read)
    }

    /// Returns the name of the type of operations of a kind.
    pub fn root(&self, kind: OperationKind) -> Option<&str> {
        let [query, mutation, subscription] = &self.roots;
        match kind {
            OperationKind::Query => query.as_deref(),
            OperationKind::Mutation => mutation.as_deref(),
            OperationKind::Subscription => subscription.as_deref(),
        }
    }

    /// Returns the fields of operations of a kind.
    pub fn root_fields(&self, kind: OperationKind) -> &[Positioned<FieldDefinition>] {
        match self.root(kind).map(|name| self.shape(name)) {
            Some(Some(TypeShape::Object(object))) => &object.fields,
            _ => &[],
        }
    }

    /// Returns what a type is; `None`: there is no such type, or it is of a kind that is not supported.
    pub fn shape(&self, name: &str) -> Option<TypeShape<'_>> {
        Some(match name {
            "Int" => TypeShape::Int,
            "Float" => TypeShape::Float,
            "String" => TypeShape::String,
            "Boolean" => TypeShape::Boolean,
            "ID" => TypeShape::Id,
            _ => match &self.types.get(name)?.node.kind {
                TypeKind::Scalar => TypeShape::Custom,
                TypeKind::Enum(known) => TypeShape::Enum(known),
                TypeKind::Object(known) => TypeShape::Object(known),
                TypeKind::InputObject(known) => TypeShape::Input(known),
                TypeKind::Interface(_) | TypeKind::Union(_) => return None,
            },
        })
    }

    fn check(&self, file: &SourceFile) {
        if self.root(OperationKind::Query).is_none() {
            file.problem(&Position::WHOLE_FILE, "the schema has no type `Query`");
        }
        for kind in KINDS {
            let Some(name) = self.root(kind) else { continue };
            if !matches!(self.shape(name), Some(TypeShape::Object(_))) {
                file.problem(&Position::WHOLE_FILE, format!("`{name}`, the type of {} operations, is no object type", kind.type_name()));
            }
        }
        for (name, found) in &self.types {
            let is_root = KINDS.iter().any(|kind| self.root(*kind) == Some(name));
            match &found.node.kind {
                TypeKind::Interface(_) | TypeKind::Union(_) => {
                    file.problem(&position(found.pos), format!("`{name}`: interfaces and unions are not supported; use an object type"));
                }
                TypeKind::Object(object) => self.check_object(file, found.pos, object, is_root),
                TypeKind::InputObject(object) => self.check_inputs(file, &object.fields),
                TypeKind::Scalar | TypeKind::Enum(_) => {}
            }
        }
    }

    fn check_object(&self, file: &SourceFile, at: Pos, object: &ObjectType, is_root: bool) {
        if !object.implements.is_empty() {
            file.problem(&position(at), "interfaces are not supported; remove `implements`");
        }
        for field in &object.fields {
            let FieldDefinition { name, arguments, ty, .. } = &field.node;
            let known = self.named(file, ty);
            if matches!(known, Some(TypeShape::Input(_))) {
                file.problem(&position(ty.pos), format!("`{}` is an input type; a field needs a type for output", base_name(&ty.node)));
            }
            if !is_root && !arguments.is_empty() {
                let message = format!("only the fields of operations can have arguments; remove those of `{}`", name.node);
                file.problem(&position(field.pos), message);
            }
            self.check_inputs(file, arguments);
        }
    }

    fn check_inputs(&self, file: &SourceFile, inputs: &[Positioned<InputValueDefinition>]) {
        for input in inputs {
            let ty = &input.node.ty;
            if matches!(self.named(file, ty), Some(TypeShape::Object(_))) {
                file.problem(&position(ty.pos), format!("`{}` is an object type; use an input type here", base_name(&ty.node)));
            }
        }
    }

    /// Finds the named type in a type, and reports that there is none.
    fn named(&self, file: &SourceFile, ty: &Positioned<GraphqlType>) -> Option<TypeShape<'_>> {
        let name = base_name(&ty.node);
        let found = self.shape(name);
        if found.is_none() && !self.types.contains_key(name) {
            let names: Vec<&str> = self.types.keys().map(String::as_str).chain(SCALARS).collect();
            file.problem(&position(ty.pos), unknown_name("type", name, names));
        }
        found
    }
}

fn roots(schema: Option<&Positioned<SchemaDefinition>>, types: &IndexMap<String, Positioned<TypeDefinition>>) -> [Option<String>; 3] {
    match schema {
        Some(schema) => {
            let SchemaDefinition { query, mutation, subscription, .. } = &schema.node;
            [query, mutation, subscription].map(|root| root.as_ref().map(|name| name.node.to_string()))
        }
        None => KINDS.map(|kind| types.contains_key(kind.type_name()).then(|| kind.type_name().to_owned())),
    }
}

/// Returns the name in a type: `Note` for `[Note!]!`.
pub fn base_name(ty: &GraphqlType) -> &str {
    match &ty.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(inner) => base_name(inner),
    }
}

/// Converts a position.
pub fn position(at: Pos) -> Position {
    Position::File { line: at.line as u64, column: at.column as u64 }
}

/// Returns the last line of an error of the parser, which says what it has expected. The lines before it show the text.
fn one_line(error: &str) -> String {
    let last = error.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    last.trim_start_matches("= ").to_owned()
}
