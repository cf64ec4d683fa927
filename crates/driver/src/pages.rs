//! Streams that are read in pages, so that nothing in the backend stays open while a client is slow.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use prism_call::{Error, Messages};

/// A page, and the reader of the next page if there may be one.
pub type Page<T, R> = (Vec<T>, Option<R>);

/// Streams the items of all pages. `read` reads one page.
pub fn stream_pages<T, R, F, P>(reader: R, read: F) -> Messages<T>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(R) -> P + Send + 'static,
    P: Future<Output = Result<Page<T, R>, Error>> + Send + 'static,
{
    let pages = stream::try_unfold((Some(reader), read), |(reader, read)| async move {
        let Some(reader) = reader else { return Ok::<_, Error>(None) };
        let (page, next) = read(reader).await?;
        Ok(Some((page, (next, read))))
    });
    pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed()
}
