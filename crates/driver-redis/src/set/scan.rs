//! Reads the members of a set in pages of `SSCAN`.
//!
//! `SSCAN` returns every member that stays in the set, and the same page for the same cursor while nobody writes. A page can't be entered
//! in its middle. So a cursor of Prism has the cursor of the page, how many of its members were sent, and their hash. A reader that
//! continues reads the page again. If the page still begins with these members, it skips them; if not, somebody has written, and the
//! whole page is sent again.

use bytes::Bytes;
use redis::Value;

use super::Sets;
use crate::reply;
use prism_call::{Context, Error, proto::models::set::v1::GetMembersResponse};
use prism_driver::{cursor, set::encode_cursor};

/// About how many bytes a page has.
const PAGE_BYTES: usize = 256 << 10;
/// Members of the first page. The size of its members tells the size of later pages.
const FIRST_PAGE: u32 = 10;
/// Most members of a page. Redis may return a few more.
const MAX_PAGE: usize = 1000;

/// A position in a set.
#[derive(Clone, Copy)]
pub struct Position {
    /// The cursor of Redis for the page, and the number of members that was asked for.
    scan: u64,
    count: u32,
    /// How many members of the page were sent, and their hash.
    sent: u32,
    hash: u64,
}

impl Default for Position {
    fn default() -> Self {
        Self::page(0, FIRST_PAGE)
    }
}

impl Position {
    /// The start of a page.
    fn page(scan: u64, count: u32) -> Self {
        Self { scan, count, sent: 0, hash: 0xcbf2_9ce4_8422_2325 }
    }

    fn encode(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.scan.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.count.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.sent.to_be_bytes());
        bytes[16..].copy_from_slice(&self.hash.to_be_bytes());
        bytes
    }

    /// Decodes a cursor that was valid for its set.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let number = |from: usize| bytes.get(from..from + 8).map(reply::big_endian).transpose();
        let (Some(scan), Some(numbers), Some(hash), 24) = (number(0)?, number(8)?, number(16)?, bytes.len()) else {
            return Err(cursor::invalid());
        };
        let [count, sent] = [numbers >> 32, numbers & u64::from(u32::MAX)].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        if count == 0 || count as usize > MAX_PAGE {
            return Err(cursor::invalid());
        }
        Ok(Self { scan, count, sent, hash })
    }

    /// The position after one more member of the page. The hash is FNV-1a.
    fn after(self, member: &[u8]) -> Self {
        let length = (member.len() as u64).to_be_bytes();
        let hash = length.iter().chain(member).fold(self.hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        Self { sent: self.sent.saturating_add(1), hash, ..self }
    }
}

/// The state of a stream of members.
pub struct MemberReader {
    pub sets: Sets,
    pub context: Context,
    pub key: Bytes,
    pub position: Position,
    pub done: bool,
    /// Members until the limit of the request.
    pub remaining: usize,
}

impl MemberReader {
    pub async fn page(mut self) -> Result<Option<(Vec<GetMembersResponse>, Self)>, Error> {
        if self.done || self.remaining == 0 {
            return Ok(None);
        }
        let mut command = redis::cmd("SSCAN");
        command.arg(self.sets.set_key(&self.key)).arg(self.position.scan).arg("COUNT").arg(self.position.count);
        let (next, members) = scanned(self.sets.run(&self.context, &command).await?)?;
        let start = Position::page(self.position.scan, self.position.count);
        let skipped = (self.position.sent as usize).min(members.len());
        let at = members[..skipped].iter().fold(start, |at, member| at.after(member));
        let unchanged = at.sent == self.position.sent && at.hash == self.position.hash;
        let (mut at, unsent) = if unchanged { (at, &members[skipped..]) } else { (start, &members[..]) };
        let mut page = Vec::with_capacity(unsent.len());
        for member in unsent.iter().take(self.remaining) {
            at = at.after(member);
            page.push(GetMembersResponse { member: member.clone(), cursor: encode_cursor(&self.key, &at.encode()) });
        }
        self.remaining -= page.len();
        self.done = next == 0;
        self.position = Position::page(next, page_size(&members));
        Ok(Some((page, self)))
    }
}

/// The reply of `SSCAN`: the next cursor, 0 at the end, and members.
pub fn scanned(reply: Value) -> Result<(u64, Vec<Bytes>), Error> {
    let [next, members] = reply::fixed_list(reply)?;
    let next = std::str::from_utf8(&reply::required_bytes(next)?).ok().and_then(|digits| digits.parse().ok());
    let members = reply::list(members)?.into_iter().map(reply::required_bytes).collect::<Result<_, _>>()?;
    Ok((next.ok_or_else(crate::error::unexpected_reply)?, members))
}

/// How many members like these make a page of about [`PAGE_BYTES`].
pub fn page_size(members: &[Bytes]) -> u32 {
    let bytes: usize = members.iter().map(Bytes::len).sum();
    let average = bytes / members.len().max(1) + 16;
    u32::try_from((PAGE_BYTES / average).clamp(1, MAX_PAGE)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_decoded_as_they_were() {
        let position = Position::page(u64::MAX - 1, 1000).after(b"a").after(b"");
        let decoded = Position::decode(&position.encode()).unwrap();
        assert_eq!(decoded.encode(), position.encode());
        assert_ne!(Position::page(0, 1).after(b"ab").hash, Position::page(0, 1).after(b"a").after(b"b").hash);
        for bad in [&[][..], &[0; 23], &[0; 25], &[0; 24], &[0xff; 24]] {
            assert_eq!(Position::decode(bad).map(drop).unwrap_err().reason(), "INVALID_CURSOR", "{bad:?}");
        }
    }

    #[test]
    fn large_members_make_small_pages() {
        let members = |size: usize| vec![Bytes::from(vec![0; size]); 3];
        assert_eq!([0, 10, 1000, 1 << 20].map(|size| page_size(&members(size))), [1000, 1000, 258, 1]);
        assert_eq!(page_size(&[]), 1000);
    }
}
