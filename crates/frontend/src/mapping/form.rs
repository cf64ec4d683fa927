//! Reads forms (`application/x-www-form-urlencoded`).

use super::{
    pairs::{self, Collected, PairNames},
    parameter::{Parameter, ParameterFormat, ParameterLocation, invalid},
    raw_parameter::RawParameter,
    styled::Decoding,
    text_type::{self, TextType},
    unique_json::parse_json,
};
use crate::bind::MAX_PARAMETERS;
use prism_call::Error;

/// The fields of a form.
#[derive(Debug, Default)]
pub struct FormFields {
    /// The fields that the schema names.
    pub list: Vec<Parameter>,
    /// The names of their pairs.
    pub names: PairNames,
    /// What all other fields become.
    pub others: TextType,
}

impl FormFields {
    /// Reads a form as an object.
    pub fn read(&self, text: &str) -> Result<serde_json::Value, Error> {
        let (mut members, mut collected) = (serde_json::Map::new(), Collected::new());
        let mut given = vec![None; self.list.len()];
        for (count, (raw_name, raw)) in pairs::split(text).enumerate() {
            let name = pairs::decode_name(ParameterLocation::Form, raw_name)?;
            if count == MAX_PARAMETERS {
                return Err(Error::invalid("", format!("the form has more than {MAX_PARAMETERS} fields")));
            }
            if let Some(place) = self.names.find(&self.list, &name) {
                PairNames::take(place, &self.list[place], &name, raw, &mut given[place], &mut collected)?;
                continue;
            }
            let refuse = |refusal: &str| invalid("body", &name, refusal);
            let value = Decoding::Query.decode(raw).map_err(&refuse)?;
            let mut member = members.get_mut(&*name).map(serde_json::Value::take);
            text_type::insert(&mut member, &self.others, &[], &value).map_err(|refusal| refuse(&refusal))?;
            members.insert(name.into_owned(), member.unwrap_or_default());
        }
        for (place, (field, given)) in self.list.iter().zip(given).enumerate() {
            let read = match (&field.format, given.as_ref().and_then(RawParameter::text)) {
                (ParameterFormat::Text(kind), Some(text)) => kind.json(text).map(Some),
                (ParameterFormat::Json, Some(text)) => parse_json(text.as_bytes()).map(Some).map_err(|_| "must be JSON".to_owned()),
                _ => PairNames::collect(place, field, &collected, Decoding::Query),
            };
            if let Some(value) = read.map_err(|refusal| invalid("body", &field.name, &refusal))? {
                members.insert(field.name.clone(), value);
            }
        }
        Ok(members.into())
    }
}
