//! What one evaluation may cost. The syntax bounds the work per item; here the items and what is kept of them are counted.

use std::cell::Cell;

use cel::{
    ExecutionError,
    common::{
        types::{CelBytes, CelList, CelMap, CelString},
        value::{CowVal, Val},
    },
};

/// Bytes that one evaluation may keep, or items of [`ITEM`] bytes that it may look at.
pub const WORK: u64 = 64 << 20;
/// What looking at one item is counted as: 100,000 of them are allowed.
pub const ITEM: u64 = WORK / 100_000;
/// The function around the range of each `map`, `filter`, `all`, `exists`, `exists_one`. No expression can be written so.
pub const EACH: &str = "@each";
/// The function around each value that `map` and `filter` keep.
pub const KEEP: &str = "@keep";

thread_local! {
    /// What is left for the evaluation that runs on this thread; evaluation never waits, so it stays on its thread.
    static LEFT: Cell<u64> = const { Cell::new(WORK) };
}

/// Runs an evaluation with a budget of its own.
pub fn fresh<R>(run: impl FnOnce() -> R) -> R {
    let outer = LEFT.replace(WORK);
    let result = run();
    LEFT.set(outer);
    result
}

/// Takes from the budget.
pub fn charge(cost: u64) -> Result<(), ExecutionError> {
    let left = LEFT.get().checked_sub(cost);
    LEFT.set(left.unwrap_or(0));
    match left {
        Some(_) => Ok(()),
        None => Err(ExecutionError::function_error(
            "evaluation",
            "the expression works on too much: 100,000 items or 64 MiB in one evaluation is the most",
        )),
    }
}

/// Counts the items of a range and hands it through.
pub fn each<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let range = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let items = range.as_sizer().map_or(0, |sizer| u64::try_from(*sizer.size().inner()).unwrap_or(0));
    charge(items.saturating_mul(ITEM))?;
    Ok(range)
}

/// Counts the size of a value and hands it through.
pub fn keep<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    charge(size(value.as_ref()))?;
    Ok(value)
}

/// Bytes of a value, roughly.
fn size(value: &dyn Val) -> u64 {
    let inside = if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        text.inner().len() as u64
    } else if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        bytes.inner().len() as u64
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        list.inner().iter().map(|item| size(item.as_ref())).sum()
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        map.inner().values().map(|item| 32 + size(item.as_ref())).sum()
    } else {
        0
    };
    32 + inside
}
