//! Limits the cost of one evaluation. The syntax bounds the work per item; this module counts the items and the bytes that
//! are kept.

use std::cell::Cell;

use cel::{
    ExecutionError,
    common::{
        types::{CelBytes, CelList, CelMap, CelString},
        value::{CowVal, Val},
    },
};

/// Budget of one evaluation: the bytes that it may keep, or items at [`ITEM`] bytes each that it may visit.
pub const WORK: u64 = 64 << 20;
/// Cost of visiting one item, in bytes. The budget allows 100,000 items.
pub const ITEM: u64 = WORK / 100_000;
/// Function that wraps the range of each `map`, `filter`, `all`, `exists` and `exists_one`. The `@` keeps users from calling
/// it.
pub const EACH: &str = "@each";
/// Function that wraps each value that `map` and `filter` keep.
pub const KEEP: &str = "@keep";
/// Function that wraps the operands of calls in loops.
pub const READ: &str = "@read";
/// Function that wraps the list of `distinct`, which compares each item with each other.
pub const SQUARE: &str = "@square";
/// Values up to this size cost nothing to read: the cost of the item covers them.
const SMALL: u64 = 256;

thread_local! {
    /// Remaining budget of the evaluation on this thread. An evaluation never waits, so it stays on its thread.
    static LEFT: Cell<u64> = const { Cell::new(WORK) };
}

/// Runs an evaluation with its own budget.
pub fn fresh<R>(run: impl FnOnce() -> R) -> R {
    let outer = LEFT.replace(WORK);
    let result = run();
    LEFT.set(outer);
    result
}

/// Takes `cost` bytes from the budget. Fails if not enough is left.
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

/// Charges the budget for the items of a range and returns the range unchanged.
pub fn each<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let range = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let items = range.as_sizer().map_or(0, |sizer| u64::try_from(*sizer.size().inner()).unwrap_or(0));
    charge(items.saturating_mul(ITEM))?;
    Ok(range)
}

/// Charges the budget for the size of a value and returns the value unchanged.
pub fn keep<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    charge(size(value.as_ref()))?;
    Ok(value)
}

/// Charges the budget for reading a value and returns the value unchanged.
pub fn read<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let size = size(value.as_ref());
    if size > SMALL {
        charge(size)?;
    }
    Ok(value)
}

/// Charges the budget for one byte for each pair of items in a list, and returns the list unchanged.
pub fn square<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let list = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let items = list.as_sizer().map_or(0, |sizer| u64::try_from(*sizer.size().inner()).unwrap_or(0));
    charge(items.saturating_mul(items))?;
    Ok(list)
}

/// Returns the approximate size of a value in bytes.
pub fn size(value: &dyn Val) -> u64 {
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
