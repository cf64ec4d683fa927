//! Values of enums.

use std::collections::{HashMap, HashSet};

use prost_reflect::EnumDescriptor;

use super::{Checked, FileRules, is_true, refuse, refuse_if};

impl FileRules<'_> {
    pub(super) fn check_enum_values(&self, values: &EnumDescriptor) -> Checked {
        // The linker sorts the values by their numbers, and its descriptor doesn't.
        let first = values.enum_descriptor_proto().value.first();
        if first.is_some_and(|first| first.number() != 0) && !self.is_closed(values) {
            return refuse(values.path(), format!("the first value of the open enum `{}` must be 0", values.name()));
        }
        let mut numbers = HashSet::new();
        let has_alias = !values.values().all(|value| numbers.insert(value.number()));
        let options = values.options();
        refuse_if(is_true(&options, "allow_alias") && !has_alias, values.path(), || {
            format!("`{}` has `allow_alias`, and no two values have the same number; remove the option", values.name())
        })?;
        let false_alias = options.has_field_by_name("allow_alias") && !is_true(&options, "allow_alias");
        refuse_if(false_alias, values.path(), || "`allow_alias = false` has no effect; remove the option".to_owned())?;
        if self.is_proto2() && is_true(&options, "deprecated_legacy_json_field_conflicts") {
            return Ok(());
        }
        let mut seen: HashMap<String, (String, i32)> = HashMap::new();
        for value in values.values() {
            let short = pascal_case(without_prefix(values.name(), value.name()));
            match seen.get(&short) {
                Some((other, number)) if other != value.name() && *number != value.number() => {
                    return refuse(
                        value.path(),
                        format!("`{}` and `{other}` are the same without case and without the name of the enum; rename one", value.name()),
                    );
                }
                Some(_) => {}
                None => {
                    seen.insert(short, (value.name().to_owned(), value.number()));
                }
            }
        }
        Ok(())
    }
}

/// Returns the name of a value without the name of its enum in front, whatever its case and underscores.
fn without_prefix<'a>(prefix: &str, name: &'a str) -> &'a str {
    let mut wanted = prefix.chars().filter(|letter| *letter != '_').map(|letter| letter.to_ascii_lowercase()).peekable();
    let mut rest = name;
    while let Some(letter) = rest.chars().next() {
        if letter != '_' {
            let Some(expected) = wanted.peek() else { break };
            if letter.to_ascii_lowercase() != *expected {
                return name;
            }
            wanted.next();
        }
        rest = &rest[letter.len_utf8()..];
    }
    let rest = rest.trim_start_matches('_');
    if wanted.peek().is_some() || rest.is_empty() { name } else { rest }
}

fn pascal_case(name: &str) -> String {
    let mut upper = true;
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter == '_' {
            upper = true;
        } else {
            out.push(if std::mem::take(&mut upper) { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() });
        }
    }
    out
}
