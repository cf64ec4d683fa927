//! Blob: one file for each blob.

mod basic;
mod conditional;
mod list;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    error::map_io_error,
    folder::{Folder, LIMITS},
    footer::Footer,
    name,
    private_file::ignore_missing,
    upload::Upload,
};
use prism_call::{
    Error,
    proto::{Interfaces, models::blob::v1::NewBlob},
};
use prism_driver::blob::{Condition, Content, check_key};

/// The blob interfaces over one keyspace.
pub struct Blobs {
    folder: Arc<Folder>,
    /// The folder of the keyspace.
    path: PathBuf,
}

/// Adds the blob interfaces to those of a keyspace.
pub fn add(blobs: &Arc<Blobs>, interfaces: &mut Interfaces) {
    interfaces.blob_basic = Some(blobs.clone());
    interfaces.blob_list = Some(blobs.clone());
    interfaces.blob_conditional = Some(blobs.clone());
}

/// The result of a write.
enum PutResult {
    Stored {
        etag: String,
        size: u64,
    },
    /// The condition does not hold. Holds the current ETag.
    Refused(Option<String>),
}

impl Blobs {
    pub fn new(folder: Arc<Folder>, path: PathBuf) -> Self {
        Self { folder, path }
    }

    /// Opens the file of a key and reads its metadata. `None`: there is no blob.
    async fn open(&self, key: &str) -> Result<Option<(File, Footer)>, Error> {
        check_key(&LIMITS, key)?;
        let path = self.path.join(name::encode(key));
        self.folder.run(move || open_blob(&path)).await
    }

    /// Reads the content and stores the blob, if the condition holds.
    async fn store(&self, blob: NewBlob, condition: Option<Condition>, mut content: Content) -> Result<PutResult, Error> {
        if let Some(condition) = &condition {
            let current = self.open(&blob.key).await?.map(|(_, footer)| footer.etag);
            if !condition.holds(current.as_deref()) {
                return Ok(PutResult::Refused(current));
            }
        }
        let mut upload = Upload::begin(&self.folder).await?;
        while let Some(chunk) = content.next().await? {
            upload.push(&chunk).await?;
        }
        let (name, size) = (name::encode(&blob.key), content.size());
        let complete = upload.complete(blob).await?;
        let (folder, path) = (self.folder.clone(), self.path.clone());
        let _turn = self.folder.locks.own(&name).await;
        let rename = move || {
            let _lock = folder.locks.lock(&name)?;
            if let Some(condition) = condition {
                let current = open_blob(&path.join(&name))?.map(|(_, footer)| footer.etag);
                if !condition.holds(current.as_deref()) {
                    return Ok(PutResult::Refused(current));
                }
            }
            Ok(PutResult::Stored { etag: complete.rename(&path, &name)?, size })
        };
        self.folder.run(rename).await
    }

    /// Deletes a blob, if the condition holds. Returns whether it did, and the ETag that the blob had.
    async fn remove(&self, key: &str, condition: Option<Condition>) -> Result<(bool, Option<String>), Error> {
        check_key(&LIMITS, key)?;
        let name = name::encode(key);
        let (folder, path) = (self.folder.clone(), self.path.clone());
        let _turn = self.folder.locks.own(&name).await;
        let remove = move || {
            let _lock = folder.locks.lock(&name)?;
            let file = path.join(&name);
            // A damaged blob can be deleted, but has no ETag.
            let current = if condition.is_some() { open_blob(&file)?.map(|(_, footer)| footer.etag) } else { None };
            if condition.is_some_and(|condition| !condition.holds(current.as_deref())) {
                return Ok((false, current));
            }
            match fs::remove_file(file) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((false, None)),
                Err(error) => return Err(map_io_error(error)),
            }
            folder.sync_folder(&path).or_else(ignore_missing).map_err(map_io_error)?;
            Ok((true, current))
        };
        self.folder.run(remove).await
    }
}

/// Opens a file and reads its metadata. `None`: there is no file. Blocks the thread.
fn open_blob(path: &Path) -> Result<Option<(File, Footer)>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(map_io_error(error)),
    };
    let footer = Footer::read(&file, path)?;
    Ok(Some((file, footer)))
}
