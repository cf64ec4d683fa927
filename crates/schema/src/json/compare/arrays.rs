//! Compares the content models of arrays: lists, and tuples with a schema for each position.

use super::{Conjunction, JsonComparison};
use crate::json::node::{Subschema, SubschemaId, TypeSet};

impl JsonComparison {
    /// Compares the keywords of arrays, Validation section 6.4 and Core section 10.3.1.
    pub(super) fn check_arrays(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        if !self.possible_types(writer).and(node.types.unwrap_or(TypeSet::ALL)).intersects(TypeSet::ARRAY) {
            return true;
        }
        let most = self.most_items(writer);
        let least = writer.iter().map(|id| self.nodes[*id].min_items).max().unwrap_or(0);
        let mut answer = self.at_most(reader, "maxItems", node.max_items, most, ["MAX_ITEMS_ADDED", "MAX_ITEMS_DECREASED"]);
        answer &= self.at_least(reader, "minItems", node.min_items, least, ["MIN_ITEMS_ADDED", "MIN_ITEMS_INCREASED"]);
        if node.unique && most.is_none_or(|most| most > 1) && !writer.iter().any(|id| self.nodes[*id].unique) {
            answer = self.report("UNIQUE_ITEMS_ADDED", reader, &["uniqueItems"], String::new(), || {
                "items now have to be unique, and data written with the old schema may repeat some; remove `uniqueItems`".to_owned()
            });
        }
        answer &= self.check_contains(reader, node, writer, most, least);
        if !answer && self.quiet > 0 {
            return false;
        }
        answer & self.check_items(reader, node, writer, most)
    }

    fn check_items(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction, most: Option<u64>) -> bool {
        let links = &node.links;
        if links.prefix.is_empty() && links.items.is_none() {
            return true;
        }
        let positions = writer.iter().map(|id| self.nodes[*id].links.prefix.len()).max().unwrap_or(0).max(links.prefix.len());
        let mut answer = true;
        for index in 0..positions {
            if most.is_some_and(|most| most <= index as u64) {
                return answer;
            }
            let (old, has_own_schema) = self.item_schemas(writer, index);
            if !old.is_empty() {
                let old = self.flatten(&old);
                if self.is_empty(&old, 0) {
                    return answer;
                }
            }
            answer &= match (links.prefix.get(index), links.items) {
                (Some(new), _) if has_own_schema => self.check(*new, &old),
                (Some(new), _) => self.check_added_item(*new, &old, index),
                (None, Some(rest)) => self.check_removed_item(reader, rest, &old, index),
                (None, None) => true,
            };
            if !answer && self.quiet > 0 {
                return false;
            }
        }
        let Some(rest) = links.items.filter(|_| most.is_none_or(|most| most > positions as u64)) else { return answer };
        let (old, _) = self.item_schemas(writer, positions);
        let flat = self.flatten(&old);
        if !old.is_empty() && self.is_empty(&flat, 0) || self.accepts(rest, &old) {
            return answer;
        }
        if self.nodes[rest].verdict == Some(false) {
            return self.report("ADDITIONAL_ITEMS_REMOVED", rest, &[], String::new(), || {
                "further items are no longer allowed, and data written with the old schema may have more items; leave the array open"
                    .to_owned()
            });
        }
        if positions > 0 && old.is_empty() {
            return self.report("ADDITIONAL_ITEMS_NARROWED", rest, &[], String::new(), || {
                "further items now have to match a schema, and the old schema allows anything; leave the array open".to_owned()
            });
        }
        self.check(rest, &old)
    }

    fn check_added_item(&mut self, new: SubschemaId, old: &[SubschemaId], index: usize) -> bool {
        if self.accepts(new, old) {
            return true;
        }
        if old.is_empty() {
            return self.report("ITEM_ADDED_TO_OPEN_CONTENT_MODEL", new, &[], index.to_string(), || {
                format!("item {index} has a schema now, and the old schema is open: data written with it may have anything there; close the old one (`items: false`, or `additionalItems: false`) in a version before")
            });
        }
        self.report("ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", new, &[], index.to_string(), || {
            format!("item {index} has a schema of its own now, and the old schema's rule for further items allows other values; allow all of them")
        })
    }

    fn check_removed_item(&mut self, reader: SubschemaId, rest: SubschemaId, old: &[SubschemaId], index: usize) -> bool {
        if self.accepts(rest, old) {
            return true;
        }
        let keyword = if self.nodes[rest].location.pointer.ends_with("/additionalItems") { "items" } else { "prefixItems" };
        let below = [keyword, &index.to_string()];
        if self.nodes[rest].verdict == Some(false) {
            return self.report("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL", reader, &below, index.to_string(), || {
                format!("item {index} is removed, and the new schema allows no further items; keep it, or leave the array open")
            });
        }
        self.report("ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", reader, &below, index.to_string(), || {
            format!("item {index} no longer has a schema of its own, and the new schema's rule for further items doesn't accept everything that it accepted; keep the item, or widen the rule")
        })
    }

    /// Compares `contains`, `minContains` and `maxContains`, Core section 10.3.1.3.
    fn check_contains(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction, most: Option<u64>, least: u64) -> bool {
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
            let has = olds.iter().any(|(old, count, _)| *count >= needed && self.accepts(new, &[*old]));
            if !(has || least >= needed && self.all_items_match(new, writer)) {
                let below = olds.iter().filter(|(old, _, _)| self.accepts(new, &[*old])).map(|(_, count, _)| *count).max();
                answer = match (below, olds.first()) {
                    (Some(count), _) => self.report("MIN_CONTAINS_INCREASED", reader, &["minContains"], needed.to_string(), || {
                        format!("`minContains` goes up from {count} to {needed}, and data written with the old schema may have less; keep at most {count}")
                    }),
                    (None, Some((old, _, _))) => {
                        let old = *old;
                        self.check(new, &[old])
                    }
                    (None, None) => self.report("CONTAINS_ADDED", new, &[], String::new(), || {
                        "arrays now have to contain an item that matches `contains`, and data written with the old schema may have none; remove `contains`".to_owned()
                    }),
                };
            }
        }
        let Some(limit) = node.max_contains else { return answer };
        let before = olds
            .iter()
            .filter(|(old, _, _)| self.with_strict_policy(|comparison| comparison.accepts(*old, &[new])))
            .filter_map(|(_, _, limit)| *limit)
            .chain(most)
            .min();
        self.at_most(reader, "maxContains", Some(limit), before, ["MAX_CONTAINS_ADDED", "MAX_CONTAINS_DECREASED"]) & answer
    }

    fn all_items_match(&mut self, schema: SubschemaId, writer: &Conjunction) -> bool {
        let positions = writer.iter().map(|id| self.nodes[*id].links.prefix.len()).max().unwrap_or(0);
        (0..=positions).all(|index| {
            let (old, _) = self.item_schemas(writer, index);
            self.accepts(schema, &old)
        })
    }
}
