//! Deserialization of a tree into a type, for files that are either valid as a whole or rejected.

use std::{fmt, fmt::Display};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{
    problem::{Position, Problem},
    tree::{Key, Node, Value},
};

/// The name under which a [`TextAtLine`] asks for its place.
const PLACED: &str = "prism::yaml::Placed";

/// A text and its line.
#[derive(Clone, Debug)]
pub struct TextAtLine {
    /// The line, counted from 1.
    pub line: u64,
    /// The text.
    pub text: String,
}

/// Deserializes a tree. The problem has the position of the innermost value that is wrong.
pub fn typed<T: DeserializeOwned>(root: &Node) -> Result<T, Problem> {
    T::deserialize(Typed(root))
        .map_err(|Invalid { position, message }| Problem { position: position.unwrap_or_else(|| root.position.clone()), message })
}

impl<'de> Deserialize<'de> for TextAtLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(PLACED, PlacedVisitor)
    }
}

struct PlacedVisitor;

impl<'de> Visitor<'de> for PlacedVisitor {
    type Value = TextAtLine;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<TextAtLine, A::Error> {
        let line = parts.next_element()?.unwrap_or_default();
        let text = parts.next_element()?.unwrap_or_default();
        Ok(TextAtLine { line, text })
    }
}

/// A problem, and its position as soon as that is known.
#[derive(Debug)]
struct Invalid {
    position: Option<Position>,
    message: String,
}

impl Invalid {
    fn at(mut self, position: &Position) -> Self {
        self.position.get_or_insert_with(|| position.clone());
        self
    }
}

impl Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Invalid {}

impl de::Error for Invalid {
    fn custom<T: Display>(message: T) -> Self {
        Self { position: None, message: message.to_string() }
    }
}

/// Deserializes a node.
#[derive(Clone, Copy)]
struct Typed<'n>(&'n Node);

impl<'de> Deserializer<'de> for Typed<'de> {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let read = match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, number) => visitor.visit_f64(number.unwrap_or_default()),
            },
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
        };
        read.map_err(|error| error.at(&self.0.position))
    }

    /// Accepts a number or a boolean where a text is expected.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match &self.0.value {
            Value::Bool(value) => visitor.visit_str(if *value { "true" } else { "false" }),
            Value::Number(number) => visitor.visit_string(number.to_string()),
            _ => return self.deserialize_any(visitor),
        }
        .map_err(|error: Invalid| error.at(&self.0.position))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        if matches!(self.0.value, Value::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Invalid> {
        match (name == PLACED, &self.0.position) {
            (true, Position::File { line, .. }) => visitor.visit_seq(LineAndText { line: Some(*line), node: Some(self.0) }),
            _ => visitor.visit_newtype_struct(self),
        }
        .map_err(|error| error.at(&self.0.position))
    }

    /// Accepts enumerations of words only, because no file has an enumeration with values.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        let Value::Text(word) = &self.0.value else {
            let message = format!("must be a word, not {}", self.0.value.kind());
            return Err(Invalid { position: Some(self.0.position.clone()), message });
        };
        visitor.visit_enum(word.as_str().into_deserializer()).map_err(|error: Invalid| error.at(&self.0.position))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

struct Items<'n>(std::slice::Iter<'n, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Invalid;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Invalid> {
        self.0.next().map(|node| seed.deserialize(Typed(node))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'n> {
    rest: std::slice::Iter<'n, (Key, Node)>,
    value: Option<&'n Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Invalid;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Invalid> {
        let Some((key, node)) = self.rest.next() else { return Ok(None) };
        self.value = Some(node);
        let name: de::value::StrDeserializer<'_, Invalid> = key.name.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.at(&key.position))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Invalid> {
        let node = self.value.take().ok_or_else(|| de::Error::custom("a value without its key"))?;
        seed.deserialize(Typed(node))
    }
}

/// What a [`TextAtLine`] is made of.
struct LineAndText<'n> {
    line: Option<u64>,
    node: Option<&'n Node>,
}

impl<'de> SeqAccess<'de> for LineAndText<'de> {
    type Error = Invalid;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Invalid> {
        if let Some(line) = self.line.take() {
            let line: de::value::U64Deserializer<Invalid> = line.into_deserializer();
            return seed.deserialize(line).map(Some);
        }
        self.node.take().map(|node| seed.deserialize(Typed(node))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::tree::parse, *};

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        DarkRed,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        name: TextAtLine,
        #[serde(default)]
        colour: Option<Colour>,
        #[serde(default)]
        sizes: Vec<i64>,
        #[serde(default)]
        words: BTreeMap<String, String>,
    }

    fn read(text: &str) -> Result<Thing, String> {
        let (root, problems) = parse(text);
        assert_eq!(problems, []);
        typed(&root).map_err(|Problem { position, message }| format!("{position:?} {message}"))
    }

    #[test]
    fn a_tree_becomes_a_type() {
        let thing = read("colour: dark_red\nname: box\nsizes: [1, -2]\nwords: {a: 1.5, b: true, c: x}\n").unwrap();
        assert_eq!((thing.name.line, thing.name.text.as_str()), (2, "box"));
        assert_eq!((thing.colour, thing.sizes), (Some(Colour::DarkRed), vec![1, -2]));
        assert_eq!(thing.words.into_values().collect::<Vec<_>>(), ["1.5", "true", "x"]);
        assert_eq!(read("name: 7\ncolour:\n").unwrap().colour, None);
    }

    #[test]
    fn a_problem_has_the_position_of_its_value() {
        for (text, expected) in [
            ("colour: dark_red\n", "File { line: 1, column: 1 } missing field `name`"),
            ("name: a\nsize: 1\n", "File { line: 2, column: 1 } unknown field `size`, expected one of `name`, `colour`, `sizes`, `words`"),
            ("name: a\nsizes:\n  - 1\n  - two\n", "File { line: 4, column: 5 } invalid type: string \"two\", expected i64"),
            ("name: a\ncolour: pink\n", "File { line: 2, column: 9 } unknown variant `pink`, expected `dark_red`"),
            ("name: a\ncolour: [1]\n", "File { line: 2, column: 9 } must be a word, not a list"),
            ("name: [a]\n", "File { line: 1, column: 7 } invalid type: sequence, expected a string"),
        ] {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
    }
}
