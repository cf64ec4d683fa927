//! Files that every schema may import without a reference: those of the Protobuf runtimes, and those that come with Prism.

use prost_reflect::DescriptorPool;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

include!(concat!(env!("OUT_DIR"), "/wellknown.rs"));

/// Where all of Protobuf's own files are.
const RUNTIME: &str = "google/protobuf/";

/// The file that declares options.
pub(super) const OPTIONS: &str = "google/protobuf/descriptor.proto";

/// The file of that import path, if everybody has it. Protobuf's own files can't be replaced: options are read with them.
pub(super) fn runtime(path: &str) -> Option<FileDescriptorProto> {
    if !path.starts_with(RUNTIME) {
        return None;
    }
    let mut file = DescriptorPool::global().get_file_by_name(path)?.file_descriptor_proto().clone();
    if path == OPTIONS {
        file.message_type.iter_mut().filter(|message| message.name() == "FeatureSet").for_each(newer_features);
    }
    Some(file)
}

/// The crate's `FeatureSet` is that of a preview of edition 2023: this makes it that of edition 2024,
/// <https://protobuf.dev/editions/features/>.
fn newer_features(features: &mut DescriptorProto) {
    for values in features.enum_type.iter_mut().filter(|values| values.name() == "Utf8Validation") {
        values.value = enumeration("", &[("UTF8_VALIDATION_UNKNOWN", 0), ("VERIFY", 2), ("NONE", 3)]).value;
    }
    let field = |name: &str, number, kind: &str| FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(Type::Enum.into()),
        type_name: Some(format!(".google.protobuf.FeatureSet.{kind}")),
        ..FieldDescriptorProto::default()
    };
    features.field.push(field("enforce_naming_style", 7, "EnforceNamingStyle"));
    features.field.push(field("default_symbol_visibility", 8, "VisibilityFeature.DefaultSymbolVisibility"));
    let styles = [("ENFORCE_NAMING_STYLE_UNKNOWN", 0), ("STYLE2024", 1), ("STYLE_LEGACY", 2)];
    features.enum_type.push(enumeration("EnforceNamingStyle", &styles));
    let visibilities =
        [("DEFAULT_SYMBOL_VISIBILITY_UNKNOWN", 0), ("EXPORT_ALL", 1), ("EXPORT_TOP_LEVEL", 2), ("LOCAL_ALL", 3), ("STRICT", 4)];
    features.nested_type.push(DescriptorProto {
        name: Some("VisibilityFeature".to_owned()),
        enum_type: vec![enumeration("DefaultSymbolVisibility", &visibilities)],
        ..DescriptorProto::default()
    });
}

fn enumeration(name: &str, values: &[(&str, i32)]) -> EnumDescriptorProto {
    let value = |(name, number): &(&str, i32)| EnumValueDescriptorProto {
        name: Some((*name).to_owned()),
        number: Some(*number),
        ..EnumValueDescriptorProto::default()
    };
    EnumDescriptorProto { name: Some(name.to_owned()), value: values.iter().map(value).collect(), ..EnumDescriptorProto::default() }
}

/// The text of the file of that import path, if it comes with Prism.
pub(super) fn source(path: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}
