//! Parsing that continues after a problem, so that all problems are reported at once.

use std::fmt;

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

use super::problem::{ProblemKind, SettingProblem};

/// Parses settings. Settings with a problem are left out; the result is `None` if a required one is among them.
pub(super) fn parse<T: DeserializeOwned>(values: &Map<String, Value>) -> (Option<T>, Vec<SettingProblem>) {
    let mut values = Value::Object(values.clone());
    let mut problems: Vec<SettingProblem> = Vec::new();
    // serde stops at the first problem. The setting that has it is removed, and parsing starts again.
    loop {
        let InvalidSetting { path, kind } = match T::deserialize(Input(&values)) {
            Ok(settings) => return (Some(settings), problems),
            Err(invalid) => invalid,
        };
        let removed = match (&kind, path.split_last()) {
            // A missing setting can't be removed, but its section can.
            (ProblemKind::Missing, Some((_, section))) => remove(&mut values, section),
            _ => remove(&mut values, &path),
        };
        let setting = path.join(".");
        // A required setting that was removed is missing in the next round. That is no further problem.
        let section = format!("{setting}.");
        if !problems.iter().any(|known| known.setting == setting || known.setting.starts_with(&section)) {
            problems.push(SettingProblem { setting, kind });
        }
        if !removed {
            return (None, problems);
        }
    }
}

/// Removes the value at a path. Returns whether there was one.
fn remove(values: &mut Value, path: &[String]) -> bool {
    let Some((last, sections)) = path.split_last() else { return false };
    let section = sections.iter().try_fold(values, |value, name| value.get_mut(name));
    section.and_then(Value::as_object_mut).is_some_and(|section| section.shift_remove(last).is_some())
}

/// A problem, and the path of the setting that has it.
#[derive(Debug)]
struct InvalidSetting {
    path: Vec<String>,
    kind: ProblemKind,
}

impl InvalidSetting {
    fn expected(expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let expected = match expected.as_str() {
            "a string" | "path string" => "text",
            "a boolean" => "true or false",
            "a sequence" => "a list",
            "a map" => "a mapping",
            "u8" => "a whole number from 0 to 255",
            "u16" => "a whole number from 0 to 65535",
            "u32" => "a whole number from 0 to 4294967295",
            "u64" | "usize" => "a whole number of at least 0",
            "i8" | "i16" | "i32" | "i64" => "a whole number",
            "f32" | "f64" => "a number",
            text if text.starts_with("struct ") => "a mapping",
            text => text,
        };
        Self { path: Vec::new(), kind: ProblemKind::Expected(expected.to_owned()) }
    }
}

impl InvalidSetting {
    fn in_item(kind: &ProblemKind) -> Self {
        Self { path: Vec::new(), kind: ProblemKind::Other(format!("has an item that {kind}")) }
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.join("."), self.kind)
    }
}

impl std::error::Error for InvalidSetting {}

impl de::Error for InvalidSetting {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: Vec::new(), kind: ProblemKind::Other(message.to_string()) }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(expected)
    }

    fn unknown_variant(_: &str, choices: &'static [&'static str]) -> Self {
        Self { path: Vec::new(), kind: ProblemKind::UnknownChoice(choices.to_vec()) }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self { path: vec![field.to_owned()], kind: ProblemKind::UnknownSetting(known.to_vec()) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: vec![field.to_owned()], kind: ProblemKind::Missing }
    }
}

/// A value that is parsed. A text is accepted where a number or a boolean is expected, if it can be read as one: environment variables
/// contain only texts.
#[derive(Clone, Copy)]
struct Input<'v>(&'v Value);

impl Input<'_> {
    fn text_as<T: std::str::FromStr>(self) -> Option<T> {
        self.0.as_str()?.parse().ok()
    }
}

/// Methods for numbers, all of them alike.
macro_rules! deserialize_numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InvalidSetting> {
            match (self.text_as::<u64>(), self.text_as::<i64>(), self.text_as::<f64>()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, Some(number)) => visitor.visit_f64(number),
                _ => self.deserialize_any(visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Input<'de> {
    type Error = InvalidSetting;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InvalidSetting> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, number) => visitor.visit_f64(number.unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter())),
            Value::Object(entries) => visitor.visit_map(Entries { rest: entries.iter(), entry: None }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InvalidSetting> {
        match self.text_as() {
            Some(value) => visitor.visit_bool(value),
            None => self.deserialize_any(visitor),
        }
    }

    deserialize_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InvalidSetting> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, InvalidSetting> {
        visitor.visit_newtype_struct(self)
    }

    /// Accepts enumerations of words only.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        choices: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, InvalidSetting> {
        match self.0.as_str() {
            Some(word) => visitor.visit_enum(word.into_deserializer()),
            None => Err(de::Error::unknown_variant("", choices)),
        }
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'v>(std::slice::Iter<'v, Value>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = InvalidSetting;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, InvalidSetting> {
        // The problem is reported for the list: an item that is removed would change the positions of those after it.
        self.0.next().map(|value| seed.deserialize(Input(value)).map_err(|invalid| InvalidSetting::in_item(&invalid.kind))).transpose()
    }
}

struct Entries<'v> {
    rest: serde_json::map::Iter<'v>,
    /// The entry whose key was read last.
    entry: Option<(&'v String, &'v Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = InvalidSetting;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, InvalidSetting> {
        self.entry = self.rest.next();
        let Some((key, _)) = self.entry else { return Ok(None) };
        let key: de::value::StrDeserializer<'_, InvalidSetting> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, InvalidSetting> {
        let (key, value) = self.entry.take().ok_or_else(|| de::Error::custom("has a value without a key"))?;
        seed.deserialize(Input(value)).map_err(|mut invalid| {
            invalid.path.insert(0, key.clone());
            invalid
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::{ByteSize, Count, HumanDuration, Secret};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        url: Secret,
        #[serde(default = "readers")]
        readers: Count<64>,
        wait: Option<HumanDuration<100>>,
        size: Option<ByteSize<1024, 1_048_576>>,
        level: Option<Level>,
        number: Option<u32>,
        eager: Option<bool>,
        tls: Option<Tls>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Level {
        Full,
        Normal,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Tls {
        ca: String,
    }

    fn readers() -> Count<64> {
        Count::new(4)
    }

    fn parse_example(values: Value) -> (Option<Example>, Vec<String>) {
        let Value::Object(values) = values else { return (None, Vec::new()) };
        let (example, problems) = parse::<Example>(&values);
        (example, problems.iter().map(|problem| format!("{} {}", problem.setting, problem.kind)).collect())
    }

    #[test]
    fn parses_values_and_texts_of_variables() {
        let values =
            json!({"url": "x", "readers": "8", "wait": "1.5s", "size": "64KiB", "level": "normal", "eager": "true", "tls": {"ca": "y"}});
        let (example, problems) = parse_example(values);
        let example = example.unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((example.url.expose(), *example.readers, *example.size.unwrap()), ("x", 8, 65_536));
        assert_eq!((example.wait.unwrap().as_millis(), example.level, example.eager), (1500, Some(Level::Normal), Some(true)));
        assert_eq!((example.number, example.tls.unwrap().ca.as_str()), (None, "y"));
    }

    #[test]
    fn reports_every_problem() {
        let values = json!({
            "url": 5, "readers": 65, "wait": "90ms", "size": "2MiB", "level": "fast", "number": -1, "eager": "on", "tls": {"cb": 1}, "sice": 1
        });
        let (example, problems) = parse_example(values);
        assert!(example.is_none(), "a required setting is wrong");
        assert_eq!(
            problems,
            [
                "url must be text",
                "readers must be a whole number from 1 to 64",
                "wait must be a duration such as 100ms, 30s or 5m, at least 100ms",
                "size must be a size such as 64KiB or 4MiB, from 1KiB to 1MiB",
                "level must be one of full, normal",
                "number must be a whole number from 0 to 4294967295",
                "eager must be true or false",
                "tls.cb is not a setting; there are: ca",
                "tls.ca is missing",
                "sice is not a setting; there are: url, readers, wait, size, level, number, eager, tls",
            ]
        );
    }

    #[test]
    fn an_optional_setting_with_a_problem_gets_its_default() {
        let (example, problems) = parse_example(json!({"url": "x", "readers": 0}));
        assert_eq!((*example.unwrap().readers, problems.len()), (4, 1));
        assert_eq!(parse_example(json!({})).1, ["url is missing"]);
    }
}
