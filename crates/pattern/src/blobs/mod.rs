//! What patterns that read blobs share.

pub mod range;

use futures::StreamExt as _;

use prism_call::{
    Context, Error, Messages,
    proto::models::blob::v1::{BlobBasic, FoundBlob, GetRequest, get_response::Part},
};

/// Opens a read: the metadata, and the chunks that follow. `None`: there is no blob under the key.
pub async fn open(
    blobs: &dyn BlobBasic,
    context: &Context,
    request: GetRequest,
) -> Result<Option<(FoundBlob, Messages<bytes::Bytes>)>, Error> {
    let mut stream = blobs.get(context, request).await?;
    match stream.next().await.transpose()?.map(|message| message.part) {
        None => Ok(None),
        Some(Some(Part::Found(found))) => {
            let chunks = stream.map(|message| match message?.part {
                Some(Part::Chunk(chunk)) => Ok(chunk),
                _ => Err(Error::internal("the driver sent the metadata of a blob twice")),
            });
            Ok(Some((found, Box::pin(chunks))))
        }
        Some(_) => Err(Error::internal("the driver sent a blob without its metadata")),
    }
}
