//! What the text of a parameter or a form field becomes, by its schema.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::{
    scalar_text::{bool_of_text, float_of_text, int_of_text, uint_of_text},
    unique_json::parse_json,
};

/// What a text becomes. A schema with several types has several choices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TextType {
    /// The schema does not tell. The text stays a text.
    #[default]
    Any,
    /// A string.
    Text,
    /// A string with one of these values.
    Listed(Arc<[String]>),
    /// A string in a format, or with a pattern.
    Formatted,
    /// `null`, which is written as an empty text.
    Null,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A whole number that is not negative.
    Uint,
    /// A number.
    Number,
    /// A list with items of one type.
    List(Arc<Self>),
    /// An object.
    Object(Arc<TextObject>),
    /// One of several types.
    Choice(Arc<[Self]>),
}

/// The members of an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TextObject {
    /// The members with a known name.
    pub members: Vec<(String, TextType)>,
    /// The type of all other members; `None`: there are no others.
    pub others: Option<TextType>,
    /// Whether the schema describes other members, so that it takes any name.
    pub takes_any: bool,
}

impl TextObject {
    /// Returns the type of a member. A member that is not allowed stays a text, which its schema refuses.
    pub fn member(&self, name: &str) -> &TextType {
        const ANY: &TextType = &TextType::Any;
        let known = self.members.iter().find(|(known, _)| known == name).map(|(_, kind)| kind);
        known.or(self.others.as_ref()).unwrap_or(ANY)
    }
}

impl TextType {
    fn choices(&self) -> &[Self] {
        if let Self::Choice(choices) = self { choices } else { std::slice::from_ref(self) }
    }

    /// Whether a text is always one value.
    pub fn is_single(&self) -> bool {
        self.choices().iter().all(|choice| !matches!(choice, Self::List(_) | Self::Object(_)))
    }

    /// Returns the type of the items, if it may be a list.
    pub fn list(&self) -> Option<&Self> {
        self.choices().iter().find_map(|choice| if let Self::List(items) = choice { Some(&**items) } else { None })
    }

    /// Returns the members, if it may be an object.
    pub fn object(&self) -> Option<&Arc<TextObject>> {
        self.choices().iter().find_map(|choice| if let Self::Object(object) = choice { Some(object) } else { None })
    }

    /// Returns the type without lists and objects; `None`: it is nothing else.
    pub fn single(&self) -> Option<Self> {
        let single: Vec<Self> =
            self.choices().iter().filter(|choice| !matches!(choice, Self::List(_) | Self::Object(_))).cloned().collect();
        match single.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => Some(Self::Choice(single.into())),
        }
    }

    /// Returns the empty value.
    pub fn empty(&self) -> Json {
        match (self.list(), self.object()) {
            (Some(_), _) => Json::Array(Vec::new()),
            (None, Some(_)) => Json::Object(Map::new()),
            (None, None) => "".into(),
        }
    }

    /// Converts a text. A list or an object in a place for one text is JSON.
    pub fn json(&self, text: &str) -> Result<Json, String> {
        Ok(match self {
            Self::Any | Self::Text | Self::Listed(_) | Self::Formatted => text.into(),
            Self::Null if text.is_empty() || text == "null" => Json::Null,
            Self::Null => return Err(format!("must be empty, not {text:?}")),
            Self::Bool => bool_of_text(text)?.into(),
            Self::Int => int_of_text(text)?.into(),
            Self::Uint => uint_of_text(text)?.into(),
            Self::Number => match text.parse::<i64>() {
                Ok(whole) => whole.into(),
                Err(_) => float_of_text(text)?.into(),
            },
            Self::List(_) | Self::Object(_) => {
                let json = parse_json(text.as_bytes()).ok().filter(|json| json.is_object() || json.is_array());
                json.ok_or_else(|| format!("must be {} in JSON, not {text:?}", if self.list().is_some() { "a list" } else { "an object" }))?
            }
            Self::Choice(choices) => return choose(choices, text),
        })
    }
}

/// Converts a text by the first fitting of several types. A string that may be anything takes every text; one with a format or a pattern takes
/// what is nothing else.
fn choose(choices: &[TextType], text: &str) -> Result<Json, String> {
    let has = |wanted: &TextType| choices.contains(wanted);
    let listed = choices.iter().any(|choice| matches!(choice, TextType::Listed(texts) if texts.iter().any(|known| known == text)));
    if listed || has(&TextType::Text) || has(&TextType::Any) {
        return Ok(text.into());
    }
    if has(&TextType::Null) && text.is_empty() {
        return Ok(Json::Null);
    }
    if has(&TextType::Bool) && matches!(text, "true" | "false") {
        return Ok((text == "true").into());
    }
    // Other ways to write a number, such as 007, are probably meant as a text.
    let formatted = has(&TextType::Formatted);
    let plain = |json: Json| {
        let written = json.to_string();
        (written == text || !formatted).then_some(json)
    };
    let numbers = choices.iter().filter(|choice| matches!(choice, TextType::Int | TextType::Uint | TextType::Number));
    if let Some(number) = numbers.filter_map(|choice| choice.json(text).ok()).find_map(plain) {
        return Ok(number);
    }
    if has(&TextType::Formatted) {
        return Ok(text.into());
    }
    let mut others = choices.iter().filter(|choice| matches!(choice, TextType::List(_) | TextType::Object(_) | TextType::Bool));
    others.find_map(|choice| choice.json(text).ok()).ok_or_else(|| format!("has none of the types of its schema: {text:?}"))
}

/// Maximum number of members in a path such as `[a][b]`.
pub const MAX_STEPS: usize = 16;

/// Sets a value in a tree at a path such as `["a", "b"]`. An empty step, or the next index, appends to a list.
pub fn insert(tree: &mut Option<Json>, kind: &TextType, steps: &[&str], text: &str) -> Result<(), String> {
    let Some((step, inner)) = steps.split_first() else { return set(tree, kind, text) };
    let is_index = step.is_empty() || step.bytes().all(|byte| byte.is_ascii_digit());
    // A free object may have a list at a place of which the schema says nothing.
    let list = kind.list().filter(|_| is_index).or_else(|| (*kind == TextType::Any && step.is_empty()).then_some(kind));
    if let Some(element) = list.filter(|_| !matches!(tree, Some(Json::Object(_)))) {
        let Json::Array(items) = tree.get_or_insert_with(|| Json::Array(Vec::new())) else { return Err(twice()) };
        let index = if step.is_empty() { items.len() } else { step.parse().unwrap_or(usize::MAX) };
        if index > items.len() {
            return Err(format!("has no item before the item {index}"));
        }
        let mut item = items.get_mut(index).map(Json::take);
        insert(&mut item, element, inner, text)?;
        let item = item.unwrap_or_default();
        match items.get_mut(index) {
            Some(known) => *known = item,
            None => items.push(item),
        }
        return Ok(());
    }
    if *kind != TextType::Any && kind.object().is_none() {
        return Err("has no members".to_owned());
    }
    if step.is_empty() {
        return Err("is an object, so each member needs a name between its brackets".to_owned());
    }
    let Json::Object(members) = tree.get_or_insert_with(|| Json::Object(Map::new())) else { return Err(twice()) };
    let member = kind.object().map_or(&TextType::Any, |object| object.member(step));
    let mut value = members.get_mut(*step).map(Json::take);
    insert(&mut value, member, inner, text).map_err(|refusal| format!("[{step}] {refusal}"))?;
    members.insert((*step).to_owned(), value.unwrap_or_default());
    Ok(())
}

/// Sets the value at the end of a path. A list takes several.
fn set(tree: &mut Option<Json>, kind: &TextType, text: &str) -> Result<(), String> {
    match (tree.as_mut(), kind.list(), kind.single()) {
        (Some(Json::Array(items)), Some(element), _) => items.push(element.json(text)?),
        // What looked like a single value is a list.
        (Some(first), Some(element), Some(_)) if !first.is_object() => *tree = Some(vec![first.take(), element.json(text)?].into()),
        (Some(_), ..) => return Err(twice()),
        (None, Some(element), None) => *tree = Some(vec![element.json(text)?].into()),
        (None, ..) => *tree = Some(kind.json(text)?),
    }
    Ok(())
}

fn twice() -> String {
    "appears twice, but takes one value".to_owned()
}
