//! Limits on the tags in requests. The integration tests of the pattern check the results.

use super::super::inline::{Tagging, check_find_tags};
use prism_call::proto::patterns::schema_registry::v1::{SchemaEntity, SchemaTags};

fn tags(path: &str, count: usize) -> SchemaTags {
    let entity = SchemaEntity { entity_path: path.to_owned(), entity_type: String::new() };
    SchemaTags { schema_entity: Some(entity), tags: vec!["PII".to_owned(); count] }
}

/// Returns the field that is refused.
fn refused(add: &[SchemaTags], remove: &[SchemaTags]) -> String {
    let error = Tagging::new(add, remove, false).unwrap_err();
    assert_eq!(error.reason(), "INVALID_FIELD");
    error.violations()[0].field.clone()
}

#[test]
fn tags_are_limited_in_number_and_length() {
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
    assert!(check_find_tags(&vec!["PII".to_owned(); 1000]).is_ok());
    assert_eq!(check_find_tags(&vec!["PII".to_owned(); 1001]).unwrap_err().violations()[0].field, "find_tags");
}
