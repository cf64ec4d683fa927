//! The visibility of symbols in edition 2024, <https://protobuf.dev/editions/features/#default_symbol_visibility>.

use prost_reflect::{EnumDescriptor, FileDescriptor, Kind, MessageDescriptor};

use super::{Checked, FileRules, features::own_features, refuse, refuse_if, set_number};
use crate::protobuf::read::Visibility;

const EXPORT_ALL: i32 = 1;
const EXPORT_TOP_LEVEL: i32 = 2;
const STRICT: i32 = 4;

impl FileRules<'_> {
    /// Checks that all types that are used can be seen.
    pub(super) fn check_visibility(&self) -> Checked {
        let file = &self.linked.file;
        self.check_strict(file)?;
        file.messages().try_for_each(|message| self.check_used_types(&message))?;
        for extension in file.extensions() {
            self.check_kind(extension.path(), &extension.kind())?;
            self.check_symbol(extension.path(), &extension.containing_message().parent_file(), extension.containing_message().full_name())?;
        }
        for method in file.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            self.check_kind(method.path(), &Kind::Message(method.input()))?;
            self.check_kind(method.path(), &Kind::Message(method.output()))?;
        }
        Ok(())
    }

    /// Checks the types in a message. Recursion is limited by the depth of messages.
    fn check_used_types(&self, message: &MessageDescriptor) -> Checked {
        message.fields().try_for_each(|field| self.check_kind(field.path(), &field.kind()))?;
        for extension in message.child_extensions() {
            self.check_kind(extension.path(), &extension.kind())?;
        }
        message.child_messages().try_for_each(|nested| self.check_used_types(&nested))
    }

    fn check_kind(&self, path: &[i32], kind: &Kind) -> Checked {
        match kind {
            Kind::Message(message) => self.check_symbol(path, &message.parent_file(), message.full_name()),
            Kind::Enum(values) => self.check_symbol(path, &values.parent_file(), values.full_name()),
            _ => Ok(()),
        }
    }

    fn check_symbol(&self, path: &[i32], file: &FileDescriptor, full: &str) -> Checked {
        if *file == self.linked.file {
            return Ok(());
        }
        let for_options = |(import, visibility): &(String, Visibility)| import == file.name() && *visibility == Visibility::Option;
        refuse_if(self.linked.imports.iter().any(for_options), path, || {
            format!("`{full}` is in \"{}\", which is imported for options only; import it without `option`", file.name())
        })?;
        let Some(exported) = self.linked.exports.get(file.name()) else { return Ok(()) };
        let package = file.package_name();
        let local = if package.is_empty() { full } else { full.strip_prefix(package).map_or(full, |rest| rest.trim_start_matches('.')) };
        let visible = exported.get(local).copied().unwrap_or_else(|| match default_visibility(file) {
            EXPORT_ALL => true,
            EXPORT_TOP_LEVEL => !local.contains('.'),
            _ => false,
        });
        if visible { Ok(()) } else { refuse(path, format!("`{full}` is local to \"{}\"; mark it `export` there", file.name())) }
    }

    /// Checks that with strict visibility only symbols at the top level are exported, or enums in a local message.
    fn check_strict(&self, file: &FileDescriptor) -> Checked {
        if self.linked.exported.is_empty() || default_visibility(file) != STRICT {
            return Ok(());
        }
        let is_enum = |local: &str| {
            let full = crate::protobuf::names::join_name(file.package_name(), local);
            file.parent_pool().get_enum_by_name(&full).is_some_and(|values: EnumDescriptor| values.parent_file() == *file)
        };
        for (name, exported) in &self.linked.exported {
            let Some((outer, _)) = name.rsplit_once('.').filter(|_| *exported) else { continue };
            let allowed = is_enum(name) && self.linked.exported.get(outer) == Some(&false);
            refuse_if(!allowed, &[], || {
                format!("`{name}` is nested and can't be `export` with STRICT visibility; move it to the top level")
            })?;
        }
        Ok(())
    }
}

fn default_visibility(file: &FileDescriptor) -> i32 {
    own_features(&file.options()).and_then(|features| set_number(&features, "default_symbol_visibility")).unwrap_or(EXPORT_TOP_LEVEL)
}
