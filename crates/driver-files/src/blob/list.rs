//! `blob_list`
//!
//! A page reads the names of all blobs of the keyspace, because a file system returns them in any order. It holds only the first ones in
//! memory, and opens only the files of these, and those with a long name.

use std::{fs, io, path::Path};

use async_trait::async_trait;

use super::{Blobs, open_blob};
use crate::{
    error::map_io_error,
    folder::LIMITS,
    name::{self, Decoded},
};
use prism_call::{
    Context, Error,
    proto::models::blob::v1::{BlobList, ListRequest, ListResponse, ListedBlob},
};
use prism_driver::{
    blob::{ListScope, Page},
    time,
};

#[async_trait]
impl BlobList for Blobs {
    async fn list(&self, _: &Context, request: ListRequest) -> Result<ListResponse, Error> {
        let scope = ListScope::new(&LIMITS, request)?;
        let path = self.path.clone();
        self.folder.run(move || list(&path, scope)).await
    }
}

fn list(path: &Path, scope: ListScope) -> Result<ListResponse, Error> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        // Nothing was written yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ListResponse::default()),
        Err(error) => return Err(map_io_error(error)),
    };
    let mut page = Page::new(scope);
    for entry in entries {
        let file = entry.map_err(map_io_error)?.file_name();
        let Some(file) = file.to_str() else { continue };
        match name::decode(file) {
            Decoded::Key(key) => page.add(&key, || ()),
            Decoded::Long => {
                if let Some((_, footer)) = open_blob(&path.join(file))? {
                    page.add(&footer.key, || ());
                }
            }
            Decoded::Foreign => {}
        }
    }
    page.finish(|key, ()| {
        let found = open_blob(&path.join(name::encode(&key)))?;
        Ok(found.map(|(_, footer)| ListedBlob {
            key,
            size: footer.size,
            etag: footer.etag,
            update_time: Some(time::timestamp(footer.updated)),
        }))
    })
}
