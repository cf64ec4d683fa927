//! The GUID of a schema.
//!
//! It is the MD5 of the schema's text, references, metadata and rules, as other schema registries define it, so that the same schema
//! has the same GUID in all of them. Security does not depend on it.

use std::fmt;

use md5::{Digest as _, Md5};
use prost_types::value::Kind;

use prism_call::{
    hexadecimal,
    proto::patterns::schema_registry::v1::{Metadata, Rule, RuleSet, SchemaReference},
};

/// The identity of a schema.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Guid([u8; 16]);

impl Guid {
    /// Computes the GUID of a schema.
    pub fn compute(text: &str, references: &[SchemaReference], metadata: Option<&Metadata>, rule_set: Option<&RuleSet>) -> Self {
        let mut hash = Hash(Md5::new());
        hash.text(text);
        for reference in references {
            hash.text(&reference.name);
            hash.text(&reference.subject);
            hash.0.update(reference.version.to_be_bytes());
        }
        // This byte distinguishes empty metadata from absent metadata.
        if let Some(metadata) = metadata {
            hash.0.update([1]);
            hash.metadata(metadata);
        }
        if let Some(rules) = rule_set {
            hash.0.update([1]);
            for rule in rules.migration_rules.iter().chain(&rules.domain_rules).chain(&rules.encoding_rules) {
                hash.rule(rule);
            }
            hash.text(&rules.enable_at);
        }
        Self(hash.0.finalize().into())
    }

    /// Parses `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`. Hexadecimal digits may have either case.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 36
            && text.bytes().enumerate().all(|(position, byte)| match position {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        let number = u128::from_str_radix(&text.replace('-', ""), 16).ok().filter(|_| well_formed)?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'-'; 36];
        let digits = hexadecimal(u128::from_be_bytes(self.0));
        for (from, to) in [(0..8, 0), (8..12, 9), (12..16, 14), (16..20, 19), (20..32, 24)] {
            text[to..to + from.len()].copy_from_slice(&digits[from]);
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Hash(Md5);

impl Hash {
    fn text(&mut self, text: &str) {
        self.0.update(text.as_bytes());
    }

    fn metadata(&mut self, metadata: &Metadata) {
        for (path, tags) in &metadata.tags {
            self.text(path);
            for tag in &tags.values {
                if let Some(Kind::StringValue(tag)) = &tag.kind {
                    self.text(tag);
                }
            }
        }
        for (name, value) in &metadata.properties {
            self.text(name);
            self.text(value);
        }
        for name in &metadata.sensitive {
            self.text(name);
        }
    }

    fn rule(&mut self, rule: &Rule) {
        for text in [&rule.name, &rule.doc, &rule.kind, &rule.mode, &rule.r#type] {
            self.text(text);
        }
        for tag in &rule.tags {
            self.text(tag);
        }
        for (name, value) in &rule.params {
            self.text(name);
            self.text(value);
        }
        for text in [&rule.expr, &rule.on_success, &rule.on_failure] {
            self.text(text);
        }
        if rule.disabled {
            self.0.update([1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guid_of_a_text_alone_is_its_md5() {
        let guid = Guid::compute("\"string\"", &[], None, None);
        assert_eq!(guid.to_string(), "095d71cf-1255-6b9d-5e33-0ad575b3df5d");
        assert_eq!(Guid::parse(&guid.to_string().to_uppercase()), Some(guid));
    }

    #[test]
    fn empty_metadata_differs_from_absent_metadata() {
        let with = Guid::compute("a", &[], Some(&Metadata::default()), None);
        assert_ne!(with, Guid::compute("a", &[], None, None));
        let reference = |version| SchemaReference { name: "a".to_owned(), subject: "b".to_owned(), version };
        assert_ne!(Guid::compute("a", &[reference(1)], None, None), Guid::compute("a", &[reference(2)], None, None));
    }

    #[test]
    fn malformed_guids_are_refused() {
        for text in
            ["", "1", "095d71cf12556b9d5e330ad575b3df5d", "095d71cf-1255-6b9d-5e33-0ad575b3df5", "+95d71cf-1255-6b9d-5e33-0ad575b3df5d"]
        {
            assert_eq!(Guid::parse(text), None, "{text}");
        }
    }
}
