//! A corpus of small files, each with one rule of Protobuf, and what protoc says: valid or not.
//!
//! `tests/clients/protoc` asks protoc for these verdicts again.

use prism_schema::protobuf::ProtobufSchema;
use serde_json::Value;

use crate::protobuf::given;

const CORPUS: &str = include_str!("corpus.jsonl");

/// Files whose verdicts differ from protoc's, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("literal { g { x: \"y\" } }", "the linker knows a group in a literal only by the name of its message"),
    ("literal { [g]: \"b\" }", "the linker knows an extension in a literal only by its full name"),
    ("message set with a large number", "the linker has no larger numbers for message sets"),
    ("reserved 536870912 2", "the parser refuses reserved numbers that no field can have"),
    ("reserved 536870912 3", "the parser refuses reserved numbers that no field can have"),
    ("reserved 536870912 2023", "the parser refuses reserved numbers that no field can have"),
    ("syntax message A { optional string a = 1 [default = \"\\xff\"]; }", "a string that is not UTF-8 can't be in any message"),
    ("syntax message A { reserved 1 to 3, 5; reserved \"a b\"; }", "a reserved name that no field can have"),
    ("reserved \"\"", "a reserved name that no field can have"),
    ("reserved \"1\"", "a reserved name that no field can have"),
    ("enum reserved \"\"", "a reserved name that no value can have"),
    ("enum reserved \"1\"", "a reserved name that no value can have"),
];

#[test]
fn verdicts_are_those_of_protoc() {
    let mut wrong = Vec::new();
    let mut unused: Vec<&str> = EXCEPTIONS.iter().map(|(name, _)| *name).collect();
    for line in CORPUS.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (name, text, valid) = (case["name"].as_str().unwrap(), case["text"].as_str().unwrap(), case["valid"].as_bool().unwrap());
        let imports = case["imports"].as_object().into_iter().flatten();
        let imports: Vec<(&str, &str)> = imports.map(|(path, text)| (path.as_str(), text.as_str().unwrap())).collect();
        let outcome = ProtobufSchema::parse(text, &given(&imports));
        let agrees = outcome.is_ok() == valid;
        if let Some(at) = unused.iter().position(|exception| *exception == name) {
            unused.remove(at);
            if agrees {
                wrong.push(format!("{name}: is no exception any more"));
            }
            continue;
        }
        match outcome {
            _ if agrees => {}
            Ok(_) => wrong.push(format!("{name}: protoc refuses it\n    {}", text.replace('\n', "\n    "))),
            Err(invalid) => {
                wrong.push(format!("{name}: protoc accepts it, and here: {}\n    {}", invalid.message, text.replace('\n', "\n    ")))
            }
        }
        // A valid file is still valid when it is printed.
        if let Ok(schema) = ProtobufSchema::parse(text, &given(&imports)) {
            for printed in [schema.canonical(), schema.normalized()] {
                match ProtobufSchema::parse(&printed, &given(&imports)) {
                    Ok(again) if again.normalized() == schema.normalized() => {}
                    Ok(_) => wrong.push(format!("{name}: printed as another schema\n{printed}")),
                    Err(invalid) => wrong.push(format!("{name}: invalid when printed: {}\n{printed}", invalid.message)),
                }
            }
        }
    }
    assert!(wrong.is_empty() && unused.is_empty(), "{} differ, unused: {unused:?}\n{}", wrong.len(), wrong.join("\n"));
}
