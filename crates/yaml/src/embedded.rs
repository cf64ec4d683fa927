//! The YAML files that are part of Prism: definitions of frontends (`frontends/*.yaml`), their OpenAPI documents
//! (`openapi/*.yaml`), and the registry (`registry/`).

use super::{Node, compact};

/// A file that is part of Prism.
pub struct Embedded {
    /// Its path in the repository.
    pub file: &'static str,
    /// Its content.
    pub text: &'static str,
    /// The content as a tree, in the encoding of [`compact`].
    tree: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Returns the tree of a text that is part of Prism, or `None` for any other text.
pub fn tree(text: &str) -> Option<Node> {
    compact::read(EMBEDDED.iter().find(|known| known.text == text)?.tree)
}

#[cfg(test)]
mod tests {
    use super::{super::tree, *};

    #[test]
    fn encoded_trees_equal_the_parsed_texts() {
        assert!(!EMBEDDED.is_empty());
        for known in EMBEDDED {
            let (read, problems) = tree::parse(known.text);
            assert_eq!(problems, [], "{}", known.file);
            assert_eq!(format!("{:?}", super::tree(known.text)), format!("{:?}", Some(read)), "{}", known.file);
        }
        assert!(super::tree("frontend: of somebody else").is_none());
    }

    #[test]
    fn invalid_bytes_are_not_a_tree() {
        for known in EMBEDDED {
            for end in (0..known.tree.len()).step_by(97) {
                assert!(compact::read(&known.tree[..end]).is_none());
            }
        }
        assert!(compact::read(&[0, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_none(), "a count that is larger than the rest");
        assert!(compact::read(&[0, 1, 9]).is_none());
    }
}
