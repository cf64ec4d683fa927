//! Moves elements when one is inserted or removed in the middle of a list, so that the positions stay consecutive.

use super::rows::StoredList;
use crate::{error::DatabaseResult, writer::Tx};

impl StoredList {
    /// Inserts an element before the one at a position, and moves the elements on the shorter side by one.
    pub fn insert_before(&mut self, tx: &Tx<'_>, position: i64, value: &[u8]) -> DatabaseResult<()> {
        let mut update = move_statement(tx)?;
        let free = if position - self.first < self.end() - position {
            for moved in self.first..position {
                update.execute((self.id, moved, moved - 1))?;
            }
            self.first -= 1;
            position - 1
        } else {
            for moved in (position..self.end()).rev() {
                update.execute((self.id, moved, moved + 1))?;
            }
            position
        };
        self.insert(tx, free, value)?;
        self.length += 1;
        self.save(tx)
    }

    /// Removes the elements at some positions, which ascend, and moves others to close the gaps.
    pub fn remove(&mut self, tx: &Tx<'_>, positions: &[i64]) -> DatabaseResult<()> {
        let (Some(least), Some(greatest)) = (positions.first().copied(), positions.last().copied()) else { return Ok(()) };
        let mut delete = tx.connection.prepare_cached("DELETE FROM list_elements WHERE list = ?1 AND position = ?2")?;
        for position in positions {
            delete.execute((self.id, position))?;
        }
        let count = i64::try_from(positions.len()).unwrap_or(i64::MAX);
        let mut update = move_statement(tx)?;
        // The elements before the last gap move right, or those after the first gap move left. Each moves by the gaps that it passes.
        if greatest - self.first < self.end() - least {
            let mut gaps = 0;
            for position in (self.first..=greatest).rev() {
                if is_gap(positions, position) {
                    gaps += 1;
                } else {
                    update.execute((self.id, position, position + gaps))?;
                }
            }
            self.first += count;
        } else {
            let mut gaps = 0;
            for position in least..self.end() {
                if is_gap(positions, position) {
                    gaps += 1;
                } else {
                    update.execute((self.id, position, position - gaps))?;
                }
            }
        }
        self.length -= count;
        self.save(tx)
    }
}

fn is_gap(positions: &[i64], position: i64) -> bool {
    positions.binary_search(&position).is_ok()
}

fn move_statement<'t>(tx: &Tx<'t>) -> DatabaseResult<rusqlite::CachedStatement<'t>> {
    Ok(tx.connection.prepare_cached("UPDATE list_elements SET position = ?3 WHERE list = ?1 AND position = ?2")?)
}
