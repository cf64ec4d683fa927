//! A registration whose subject is changed by another gateway between its read and its change.

use super::{
    super::{
        inline::Tagging,
        register::{Outcome, Registration, RequestedVersion, gather},
        subject::SubjectName,
    },
    *,
};
use prism_call::proto::patterns::schema_registry::v1::{Config, DeleteSubjectRequest, SchemaReference, SetConfigRequest, SetModeRequest};

const V1: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
const V2: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":0}]}"#;
const V3: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"c","type":"int","default":0}]}"#;

/// What the other gateway does in between.
enum Meanwhile {
    Nothing,
    Register(&'static str, &'static str),
    Configure(&'static str),
    Close,
    Delete,
}

async fn run(other: &Arc<SchemaRegistry>, what: Meanwhile) {
    let subject = || "s".to_owned();
    match what {
        Meanwhile::Nothing => {}
        Meanwhile::Register(subject, text) => drop(registered(other, subject, text).await),
        Meanwhile::Configure(level) => {
            let config = Some(Config { compatibility_level: Some(level.to_owned()), ..Config::default() });
            let request = SetConfigRequest { subject: subject(), config, ..SetConfigRequest::default() };
            other.set_config(&context(), request).await.map(drop).unwrap();
        }
        Meanwhile::Close => {
            let request = SetModeRequest { subject: subject(), mode: "READONLY".to_owned(), ..SetModeRequest::default() };
            other.set_mode(&context(), request).await.map(drop).unwrap();
        }
        Meanwhile::Delete => {
            let request = DeleteSubjectRequest { subject: subject(), ..DeleteSubjectRequest::default() };
            other.delete_subject(&context(), request).await.map(drop).unwrap();
        }
    }
}

#[tokio::test]
async fn changes_since_the_read_are_noticed() {
    for (what, wanted) in [
        (Meanwhile::Nothing, "version 2"),
        (Meanwhile::Register("other", V3), "version 2"),
        (Meanwhile::Register("s", V3), "retry"),
        // The same text: the retry finds it registered.
        (Meanwhile::Register("s", V2), "retry"),
        (Meanwhile::Configure("FORWARD"), "retry"),
        (Meanwhile::Close, "retry"),
        (Meanwhile::Delete, "retry"),
        // The latest version of the referenced subject changed.
        (Meanwhile::Register("r", V3), "retry"),
    ] {
        let storage = storage().await;
        let options = JournalOptions::default();
        let (mine, other) = (registry(&storage, options), registry(&storage, options));
        registered(&mine, "s", V1).await;
        registered(&mine, "r", V1).await;
        let name = SubjectName::subject("", "s").unwrap();
        let version = RequestedVersion::Any;
        let wanted_one =
            Arc::new(Registration { name, id: 0, version, normalize: false, tagging: Arc::new(Tagging::default()), adds_version: false });
        let refers = SchemaReference { name: "x".to_owned(), subject: "r".to_owned(), version: -1 };
        let references = if matches!(what, Meanwhile::Register("r", _)) { vec![refers] } else { Vec::new() };
        let text = if references.is_empty() { V2.to_owned() } else { V2.replace("\"R\"", "\"Q\"") };
        let request = Schema { references, ..schema(&text) };

        let ground = mine.journal.read_fresh(&context(), |state| gather(state, &wanted_one.name, &request)).await.unwrap().unwrap();
        run(&other, what).await;
        let (outcome, _) = mine.attempt(&context(), &wanted_one, &request, ground).await.unwrap();
        match outcome {
            Outcome::Retry => assert_eq!(wanted, "retry"),
            Outcome::Done(made) => assert_eq!(format!("version {}", made.version), wanted),
        }
    }
}
