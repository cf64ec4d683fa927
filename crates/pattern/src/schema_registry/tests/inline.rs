//! What requests may ask of tags within texts. What becomes of it is in `tests/gateway/pattern/`.

use super::super::inline::{Tagging, check};
use prism_call::proto::patterns::schema_registry::v1::{SchemaEntity, SchemaTags};

fn tags(path: &str, count: usize) -> SchemaTags {
    let entity = SchemaEntity { entity_path: path.to_owned(), entity_type: String::new() };
    SchemaTags { schema_entity: Some(entity), tags: vec!["PII".to_owned(); count] }
}

/// The field that is refused.
fn refused(add: &[SchemaTags], remove: &[SchemaTags]) -> String {
    let error = Tagging::new(add, remove, false).unwrap_err();
    assert_eq!(error.reason(), "INVALID_FIELD");
    error.violations()[0].field.clone()
}

#[test]
fn how_many_tags_and_how_long() {
    for (add, remove) in [
        (vec![tags("a", 1000)], Vec::new()),
        (vec![tags("a", 0); 500], vec![tags("a", 1); 500]),
        (vec![tags(&"a".repeat(1024), 1)], Vec::new()),
    ] {
        assert!(Tagging::new(&add, &remove, true).is_ok());
    }
    assert_eq!(refused(&[tags("a", 1001)], &[]), "tags_to_add");
    assert_eq!(refused(&[tags("a", 500)], &[tags("a", 501)]), "tags_to_remove");
    assert_eq!(refused(&vec![tags("a", 0); 1001], &[]), "tags_to_add");
    assert_eq!(refused(&[tags("a", 1), tags(&"a".repeat(1025), 1)], &[]), "tags_to_add[1].schema_entity.entity_path");
    for (tag, fits) in [("é".repeat(255), true), ("é".repeat(256), false), (String::new(), false)] {
        let one = SchemaTags { tags: vec![tag], ..tags("a", 0) };
        assert_eq!(Tagging::new(&[], &[one], false).is_ok(), fits);
    }
    assert!(check(&vec!["PII".to_owned(); 1000]).is_ok());
    assert_eq!(check(&vec!["PII".to_owned(); 1001]).unwrap_err().violations()[0].field, "find_tags");
}
