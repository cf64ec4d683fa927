//! The YAML files that come with Prism: definitions of frontends (`frontends/*.yaml`), their documents
//! (`openapi/*.yaml`), and what can be combined with what (`registry/`).

use super::{Node, compact};

/// A file that comes with Prism.
pub struct Embedded {
    /// Its path in the repository.
    pub file: &'static str,
    /// What it says.
    pub text: &'static str,
    /// The same as a tree, in the form of [`compact`].
    tree: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The tree of a text that comes with Prism, and of no other.
pub fn tree(text: &str) -> Option<Node> {
    compact::read(EMBEDDED.iter().find(|known| known.text == text)?.tree)
}

#[cfg(test)]
mod tests {
    use super::{super::tree, *};

    #[test]
    fn a_tree_is_what_its_text_is_read_as() {
        assert!(!EMBEDDED.is_empty());
        for known in EMBEDDED {
            let (read, problems) = tree::parse(known.text);
            assert_eq!(problems, [], "{}", known.file);
            assert_eq!(format!("{:?}", super::tree(known.text)), format!("{:?}", Some(read)), "{}", known.file);
        }
        assert!(super::tree("frontend: of somebody else").is_none());
    }

    #[test]
    fn bytes_that_are_no_tree_are_none() {
        for known in EMBEDDED {
            for end in (0..known.tree.len()).step_by(97) {
                assert!(compact::read(&known.tree[..end]).is_none());
            }
        }
        assert!(compact::read(&[0, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_none(), "a count that is larger than the rest");
        assert!(compact::read(&[0, 1, 9]).is_none());
    }
}
