//! `blob_list`
//!
//! The bucket lists keys in their order and groups them by a delimiter. If keys are escaped, this driver groups them: after a group, it
//! continues behind all keys of the group, so a page costs at most one request for each group.

use async_trait::async_trait;
use aws_sdk_s3::types::{EncodingType, Object};

use super::{Blobs, timestamp, unquoted, unsigned};
use crate::{error::map_error, listing::decode};
use prism_call::{
    Context, Error,
    proto::models::blob::v1::{BlobList, ListRequest, ListResponse, ListedBlob},
};
use prism_driver::blob::{Item, ListScope};

/// An item of a page.
enum Entry {
    Blob(ListedBlob),
    Group(String),
}

#[async_trait]
impl BlobList for Blobs {
    async fn list(&self, _: &Context, request: ListRequest) -> Result<ListResponse, Error> {
        self.bucket.check_open()?;
        let scope = ListScope::new(&self.bucket.limits, request)?;
        self.keys.check_prefix(&scope.prefix)?;
        let is_group = |after: &str| !scope.delimiter.is_empty() && after.len() > scope.prefix.len() && after.ends_with(&scope.delimiter);
        let mut start =
            scope.after.as_deref().map(|after| if is_group(after) { self.keys.after_all(after) } else { self.keys.object(after) });
        let mut entries: Vec<(String, Entry)> = Vec::new();
        let more = loop {
            // One more than the page has, which tells whether there is another page.
            let wanted = scope.limit + 1 - entries.len();
            let (page, next) = self.page(&scope, start.as_deref(), wanted).await?;
            for (text, entry) in page {
                // A group that was continued comes once.
                if entries.last().is_none_or(|(last, _)| *last != text) {
                    entries.push((text, entry));
                }
            }
            if entries.len() > scope.limit {
                entries.truncate(scope.limit);
                break true;
            }
            match next {
                Some(next) => start = Some(next),
                None => break false,
            }
        };
        let cursor = entries.last().filter(|_| more).map(|(last, _)| ListScope::cursor(last)).unwrap_or_default();
        let mut response = ListResponse { cursor, ..ListResponse::default() };
        for (_, entry) in entries {
            match entry {
                Entry::Blob(blob) => response.blobs.push(blob),
                Entry::Group(prefix) => response.prefixes.push(prefix),
            }
        }
        Ok(response)
    }
}

impl Blobs {
    /// Returns a page of the bucket after `start`, and after which key it continues.
    async fn page(&self, scope: &ListScope, start: Option<&str>, wanted: usize) -> Result<(Vec<(String, Entry)>, Option<String>), Error> {
        let list = self.bucket.client.list_objects_v2().bucket(&self.bucket.name).prefix(self.keys.object(&scope.prefix));
        let list = list.encoding_type(EncodingType::Url).max_keys(i32::try_from(wanted.min(1000)).unwrap_or(1000));
        let delimiter = Some(scope.delimiter.clone()).filter(|delimiter| self.keys.groups() && !delimiter.is_empty());
        let listed = list.set_delimiter(delimiter).set_start_after(start.map(str::to_owned)).send().await.map_err(map_error)?;
        let groups = listed.common_prefixes.unwrap_or_default();
        let groups = groups.into_iter().filter_map(|group| decode(group.prefix.as_deref()?).map(|prefix| (prefix, None)));
        let objects = listed.contents.unwrap_or_default();
        let objects = objects.into_iter().filter_map(|object| decode(object.key.as_deref()?).map(|key| (key, Some(object))));
        let mut found: Vec<(String, Option<Object>)> = groups.chain(objects).collect();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut last = found.last().map(|(object, found)| if found.is_some() { object.clone() } else { format!("{object}\u{10ffff}") });
        let mut entries: Vec<(String, Entry)> = Vec::new();
        for (object, stored) in found {
            let Some(key) = self.keys.blob(&object) else { continue };
            let Some(item) = scope.item(&key) else { continue };
            let text = item.text().to_owned();
            if entries.last().is_some_and(|(known, _)| *known == text) {
                continue;
            }
            let entry = match (item, stored) {
                (Item::Prefix(prefix), _) => {
                    last = last.map(|last| last.max(self.keys.after_all(prefix)));
                    Entry::Group(prefix.to_owned())
                }
                (Item::Key(key), Some(stored)) => Entry::Blob(ListedBlob {
                    key: key.to_owned(),
                    size: unsigned(stored.size),
                    etag: unquoted(stored.e_tag.as_deref()),
                    update_time: stored.last_modified.map(timestamp),
                }),
                (Item::Key(_), None) => continue,
            };
            entries.push((text, entry));
        }
        let more = listed.is_truncated.unwrap_or_default();
        Ok((entries, last.filter(|_| more)))
    }
}
