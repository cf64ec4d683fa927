//! Content models of arrays: lists, and tuples whose places have schemas of their own.

use super::{Conjunction, JsonComparison};
use crate::json::node::{Subschema, SubschemaId, TypeSet};

impl JsonComparison {
    /// What concerns arrays, Validation section 6.4 and Core section 10.3.1.
    pub(super) fn arrays(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        if !self.mask(writer).and(node.types.unwrap_or(TypeSet::ALL)).has(TypeSet::ARRAY) {
            return true;
        }
        let most = self.most_items(writer);
        let least = writer.iter().map(|id| self.nodes[*id].min_items).max().unwrap_or(0);
        let mut answer = self.at_most(reader, "maxItems", node.max_items, most, ["MAX_ITEMS_ADDED", "MAX_ITEMS_DECREASED"]);
        answer &= self.at_least(reader, "minItems", node.min_items, least, ["MIN_ITEMS_ADDED", "MIN_ITEMS_INCREASED"]);
        if node.unique && most.is_none_or(|most| most > 1) && !writer.iter().any(|id| self.nodes[*id].unique) {
            answer = self.tell("UNIQUE_ITEMS_ADDED", reader, &["uniqueItems"], String::new(), || {
                "items have to be unique now, and data written with the old schema may repeat some; leave `uniqueItems` out".to_owned()
            });
        }
        answer &= self.contains(reader, node, writer, most, least);
        if !answer && self.quiet > 0 {
            return false;
        }
        answer & self.items(reader, node, writer, most)
    }

    fn items(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction, most: Option<u64>) -> bool {
        let links = &node.links;
        if links.prefix.is_empty() && links.items.is_none() {
            return true;
        }
        let places = writer.iter().map(|id| self.nodes[*id].links.prefix.len()).max().unwrap_or(0).max(links.prefix.len());
        let mut answer = true;
        for index in 0..places {
            if most.is_some_and(|most| most <= index as u64) {
                return answer;
            }
            let (old, was_named) = self.of_item(writer, index);
            if !old.is_empty() {
                let old = self.flat(&old);
                if self.is_empty(&old, 0) {
                    return answer;
                }
            }
            answer &= match (links.prefix.get(index), links.items) {
                (Some(new), _) if was_named => self.check(*new, &old),
                (Some(new), _) => self.item_added(*new, &old, index),
                (None, Some(rest)) => self.item_removed(reader, rest, &old, index),
                (None, None) => true,
            };
            if !answer && self.quiet > 0 {
                return false;
            }
        }
        let Some(rest) = links.items.filter(|_| most.is_none_or(|most| most > places as u64)) else { return answer };
        let (old, _) = self.of_item(writer, places);
        let flat = self.flat(&old);
        if !old.is_empty() && self.is_empty(&flat, 0) || self.takes(rest, &old) {
            return answer;
        }
        if self.nodes[rest].verdict == Some(false) {
            return self.tell("ADDITIONAL_ITEMS_REMOVED", rest, &[], String::new(), || {
                "arrays may not go on any more, and data written with the old schema may have more items; leave it open".to_owned()
            });
        }
        if places > 0 && old.is_empty() {
            return self.tell("ADDITIONAL_ITEMS_NARROWED", rest, &[], String::new(), || {
                "further items have to be as a schema says now, and the old schema lets them be anything; leave it open".to_owned()
            });
        }
        self.check(rest, &old)
    }

    fn item_added(&mut self, new: SubschemaId, old: &[SubschemaId], index: usize) -> bool {
        if self.takes(new, old) {
            return true;
        }
        if old.is_empty() {
            return self.tell("ITEM_ADDED_TO_OPEN_CONTENT_MODEL", new, &[], index.to_string(), || {
                format!("item {index} has a schema now, and the old schema is open: data written with it may have anything there; close the old one (`items: false`, or `additionalItems: false`) in a version before")
            });
        }
        self.tell("ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", new, &[], index.to_string(), || {
            format!("item {index} has a schema of its own now, and what the old schema says of further items lets it be something else; let it take all that they were")
        })
    }

    fn item_removed(&mut self, reader: SubschemaId, rest: SubschemaId, old: &[SubschemaId], index: usize) -> bool {
        if self.takes(rest, old) {
            return true;
        }
        let keyword = if self.nodes[rest].place.pointer.ends_with("/additionalItems") { "items" } else { "prefixItems" };
        let below = [keyword, &index.to_string()];
        if self.nodes[rest].verdict == Some(false) {
            return self.tell("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL", reader, &below, index.to_string(), || {
                format!("item {index} is gone, and the new schema allows no further items; keep it, or leave the array open")
            });
        }
        self.tell("ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", reader, &below, index.to_string(), || {
            format!("item {index} has no schema of its own any more, and what the new schema says of further items doesn't take all that it was; keep it, or widen that")
        })
    }

    /// `contains`, `minContains` and `maxContains`, Core section 10.3.1.3.
    fn contains(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction, most: Option<u64>, least: u64) -> bool {
        let Some(new) = node.links.contains else { return true };
        let needed = node.min_contains.unwrap_or(1);
        let olds: Vec<(SubschemaId, u64, Option<u64>)> = writer
            .iter()
            .filter_map(|id| {
                let node = &self.nodes[*id];
                Some((node.links.contains?, node.min_contains.unwrap_or(1), node.max_contains))
            })
            .collect();
        let mut answer = true;
        if needed > 0 {
            let has = olds.iter().any(|(old, count, _)| *count >= needed && self.takes(new, &[*old]));
            if !(has || least >= needed && self.all_items_are(new, writer)) {
                let below = olds.iter().filter(|(old, _, _)| self.takes(new, &[*old])).map(|(_, count, _)| *count).max();
                answer = match (below, olds.first()) {
                    (Some(count), _) => self.tell("MIN_CONTAINS_INCREASED", reader, &["minContains"], needed.to_string(), || {
                        format!("`minContains` goes up from {count} to {needed}, and data written with the old schema may have less; keep at most {count}")
                    }),
                    (None, Some((old, _, _))) => {
                        let old = *old;
                        self.check(new, &[old])
                    }
                    (None, None) => self.tell("CONTAINS_ADDED", new, &[], String::new(), || {
                        "arrays have to contain a certain item now, and data written with the old schema needn't; leave `contains` out".to_owned()
                    }),
                };
            }
        }
        let Some(limit) = node.max_contains else { return answer };
        let before = olds
            .iter()
            .filter(|(old, _, _)| self.strictly(|comparison| comparison.takes(*old, &[new])))
            .filter_map(|(_, _, limit)| *limit)
            .chain(most)
            .min();
        self.at_most(reader, "maxContains", Some(limit), before, ["MAX_CONTAINS_ADDED", "MAX_CONTAINS_DECREASED"]) & answer
    }

    fn all_items_are(&mut self, schema: SubschemaId, writer: &Conjunction) -> bool {
        let places = writer.iter().map(|id| self.nodes[*id].links.prefix.len()).max().unwrap_or(0);
        (0..=places).all(|index| {
            let (old, _) = self.of_item(writer, index);
            self.takes(schema, &old)
        })
    }
}
