//! Statements on the tables `sets` and `set_members`.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{error::DatabaseResult, writer::Tx};

/// Most bytes of a member that is its own identity.
const MAX_OWN_IDENTITY: usize = 32;

/// A member as it is stored.
#[derive(Clone, Debug)]
pub struct StoredMember {
    /// What tells it from other members.
    pub identity: Bytes,
    /// `None` if the identity is the member.
    member: Option<Bytes>,
}

impl StoredMember {
    pub fn new(member: Bytes) -> Self {
        if member.len() <= MAX_OWN_IDENTITY {
            return Self { identity: member, member: None };
        }
        let identity = [digest(&SHA256, &member).as_ref(), &[0]].concat();
        Self { identity: identity.into(), member: Some(member) }
    }

    /// Reads a member from the columns `identity, member`, the first two of a row.
    pub fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let member = row.get_ref(1)?.as_blob_or_null()?.map(Bytes::copy_from_slice);
        Ok(Self { identity: Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?), member })
    }

    pub fn into_member(self) -> Bytes {
        self.member.unwrap_or(self.identity)
    }
}

/// A row of the table `sets`.
#[derive(Clone, Copy, Debug)]
pub struct StoredSet {
    pub id: i64,
    pub size: i64,
}

/// Finds a set; `None` if it has no members.
pub fn find(connection: &Connection, keyspace: i64, key: &[u8]) -> DatabaseResult<Option<StoredSet>> {
    let mut select = connection.prepare_cached("SELECT id, size FROM sets WHERE keyspace = ?1 AND key = ?2")?;
    Ok(select.query_row((keyspace, key), |row| Ok(StoredSet { id: row.get(0)?, size: row.get(1)? })).optional()?)
}

/// Finds a set, and creates it if necessary.
pub fn open(tx: &Tx<'_>, keyspace: i64, key: &[u8]) -> DatabaseResult<StoredSet> {
    if let Some(set) = find(tx.connection, keyspace, key)? {
        return Ok(set);
    }
    let mut insert = tx.connection.prepare_cached("INSERT INTO sets (keyspace, key) VALUES (?1, ?2) RETURNING id")?;
    Ok(StoredSet { id: insert.query_row((keyspace, key), |row| row.get(0))?, size: 0 })
}

impl StoredSet {
    /// Whether a member is in the set.
    pub fn contains(&self, connection: &Connection, identity: &[u8]) -> DatabaseResult<bool> {
        let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM set_members WHERE set_id = ?1 AND identity = ?2)")?;
        Ok(select.query_row((self.id, identity), |row| row.get(0))?)
    }

    /// Reads the member with a number.
    pub fn member(&self, connection: &Connection, number: i64) -> DatabaseResult<StoredMember> {
        let mut select = connection.prepare_cached("SELECT identity, member FROM set_members WHERE set_id = ?1 AND number = ?2")?;
        Ok(select.query_row((self.id, number), StoredMember::read)?)
    }

    /// Adds a member. Returns whether it is new. [`save`](Self::save) must follow.
    pub fn insert(&mut self, tx: &Tx<'_>, member: &StoredMember) -> DatabaseResult<bool> {
        let mut insert = tx.connection.prepare_cached(
            "INSERT INTO set_members (set_id, identity, number, member) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (set_id, identity) DO NOTHING",
        )?;
        let is_new = insert.execute((self.id, &member.identity[..], self.size + 1, member.member.as_deref()))? == 1;
        self.size += i64::from(is_new);
        Ok(is_new)
    }

    /// Removes a member, and gives its number to the last one. Returns whether it was in the set. [`save`](Self::save) must follow.
    pub fn remove(&mut self, tx: &Tx<'_>, identity: &[u8]) -> DatabaseResult<bool> {
        let mut delete = tx.connection.prepare_cached("DELETE FROM set_members WHERE set_id = ?1 AND identity = ?2 RETURNING number")?;
        let number: Option<i64> = delete.query_row((self.id, identity), |row| row.get(0)).optional()?;
        let Some(number) = number else { return Ok(false) };
        if number != self.size {
            let mut update = tx.connection.prepare_cached("UPDATE set_members SET number = ?3 WHERE set_id = ?1 AND number = ?2")?;
            update.execute((self.id, self.size, number))?;
        }
        self.size -= 1;
        Ok(true)
    }

    /// Gives the set a new id, under which it has no members. Those of the former id must be removed with [`remove_members`].
    pub fn without_members(self, tx: &Tx<'_>) -> DatabaseResult<Self> {
        let mut update = tx.connection.prepare_cached("UPDATE sets SET id = (SELECT max(id) + 1 FROM sets) WHERE id = ?1 RETURNING id")?;
        Ok(Self { id: update.query_row([self.id], |row| row.get(0))?, size: 0 })
    }

    /// Writes the size of the set, or removes its row if it is empty.
    pub fn save(&self, tx: &Tx<'_>) -> DatabaseResult<()> {
        if self.size == 0 {
            tx.connection.prepare_cached("DELETE FROM sets WHERE id = ?1")?.execute([self.id])?;
        } else {
            tx.connection.prepare_cached("UPDATE sets SET size = ?2 WHERE id = ?1")?.execute((self.id, self.size))?;
        }
        Ok(())
    }
}

/// Removes all members of a set.
pub fn remove_members(tx: &Tx<'_>, set: i64) -> DatabaseResult<()> {
    tx.connection.prepare_cached("DELETE FROM set_members WHERE set_id = ?1")?.execute([set])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_different_identities() {
        let identity = |member: &[u8]| StoredMember::new(Bytes::copy_from_slice(member)).identity;
        let (short, long) = (vec![7; 32], vec![7; 33]);
        assert_eq!((identity(&short).as_ref(), identity(&long).len()), (&short[..], 33));
        // A member that looks like the identity of another one has an identity of its own.
        assert_ne!(identity(&identity(&long)), identity(&long));
        assert_eq!(StoredMember::new(Bytes::from(long.clone())).into_member(), long);
        assert_eq!(StoredMember::new(Bytes::new()).into_member(), Bytes::new());
    }
}
