//! A blob that is being written.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;

use crate::{
    error::map_io_error,
    folder::Folder,
    footer::Footer,
    private_file::{ignore_missing, open_private},
};
use prism_call::{Error, proto::models::blob::v1::NewBlob};
use prism_driver::id;

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// A file in `uploads/`. It is locked while it is written, and removed when this is dropped.
pub struct Upload {
    folder: Arc<Folder>,
    file: Arc<File>,
    path: PathBuf,
    etag: String,
    buffer: BytesMut,
    /// Bytes in the file.
    written: u64,
    /// Whether the file has its final name.
    renamed: bool,
}

/// A blob whose file is complete, and has its final name next.
pub struct CompleteUpload {
    upload: Upload,
}

impl Upload {
    /// Creates an empty file.
    pub async fn begin(folder: &Arc<Folder>) -> Result<Self, Error> {
        let etag = id::random_text();
        let path = folder.uploads().join(&etag);
        let created = path.clone();
        let file = folder.run(move || create_locked(&created).map_err(map_io_error)).await?;
        Ok(Self { folder: folder.clone(), file: Arc::new(file), path, etag, buffer: BytesMut::new(), written: 0, renamed: false })
    }

    /// Appends a chunk.
    pub async fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(chunk);
        if self.buffer.len() >= BUFFER_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let (data, file, at) = (self.buffer.split().freeze(), self.file.clone(), self.written);
        self.written += data.len() as u64;
        self.folder.run(move || file.write_all_at(&data, at).map_err(map_io_error)).await
    }

    /// Writes the rest and the metadata, and waits for the disk.
    pub async fn complete(mut self, blob: NewBlob) -> Result<CompleteUpload, Error> {
        let size = self.written + self.buffer.len() as u64;
        let footer = Footer::new(blob, self.etag.clone(), size).encode()?;
        self.buffer.extend_from_slice(&footer);
        self.flush().await?;
        let (folder, file) = (self.folder.clone(), self.file.clone());
        self.folder.run(move || folder.sync_file(&file).map_err(map_io_error)).await?;
        Ok(CompleteUpload { upload: self })
    }
}

impl CompleteUpload {
    /// Gives the file its final name, which stores the blob. Returns its ETag. Blocks the thread; the caller has locked the key.
    pub fn rename(mut self, keyspace: &Path, name: &str) -> Result<String, Error> {
        let upload = &mut self.upload;
        upload.folder.create_keyspace(keyspace).map_err(map_io_error)?;
        fs::rename(&upload.path, keyspace.join(name)).map_err(map_io_error)?;
        upload.renamed = true;
        upload.folder.sync_folder(keyspace).map_err(map_io_error)?;
        Ok(std::mem::take(&mut upload.etag))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.renamed {
            return;
        }
        let (path, file) = (std::mem::take(&mut self.path), self.file.clone());
        let remove = move || {
            if let Err(error) = fs::remove_file(&path).or_else(ignore_missing) {
                tracing::warn!(path = %path.display(), %error, "the remains of a write can't be removed; the sweeper tries it again");
            }
            // Closing the file frees its space, which takes long if it is large.
            drop(file);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// Creates a file and locks it, so that the sweeper leaves it alone.
fn create_locked(path: &Path) -> io::Result<File> {
    loop {
        let file = open_private().create_new(true).open(path)?;
        file.lock()?;
        // The sweeper may have removed the file before it was locked.
        if file.metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Reads a part of a file.
pub fn read_part(file: &File, at: u64, length: usize) -> Result<Bytes, Error> {
    let mut data = vec![0; length];
    file.read_exact_at(&mut data, at).map_err(map_io_error)?;
    Ok(data.into())
}
