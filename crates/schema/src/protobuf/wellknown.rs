//! Files that every schema can import without a reference: those of the Protobuf runtimes, and those that Prism includes.

use prost_reflect::DescriptorPool;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

include!(concat!(env!("OUT_DIR"), "/wellknown.rs"));

/// The folder of Protobuf's own files.
const RUNTIME: &str = "google/protobuf/";

/// The file that declares the options.
pub(super) const OPTIONS: &str = "google/protobuf/descriptor.proto";

/// Returns the runtime file with an import path. Protobuf's own files can't be replaced, because options are decoded with them.
pub(super) fn runtime(path: &str) -> Option<FileDescriptorProto> {
    if !path.starts_with(RUNTIME) {
        return None;
    }
    let mut file = DescriptorPool::global().get_file_by_name(path)?.file_descriptor_proto().clone();
    if path == OPTIONS {
        file.message_type.iter_mut().filter(|message| message.name() == "FeatureSet").for_each(update_features);
    }
    Some(file)
}

/// Updates the crate's `FeatureSet`, which is that of a preview of edition 2023, to edition 2024,
/// <https://protobuf.dev/editions/features/>.
fn update_features(features: &mut DescriptorProto) {
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

/// Returns the text of an included file by its import path.
pub(super) fn source(path: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}
