//! Bounds what one piece of work on schemas may cost: steps, memory, and time until it is cancelled.
//!
//! A budget belongs to the thread that does the work. [`run_work`] starts a piece of work, which consists of *operations*: each parsing of
//! a text and each comparison is one, with [`MAX_STEPS`] steps and its own bytes. Loops call [`spend`] with what they are about to do, and
//! whatever stays in memory is counted by [`hold`]. An operation outside of [`run_work`] has the same limits, but can't be cancelled. Outside
//! of an operation nothing is limited.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::InvalidSchema;

/// The maximum number of steps of one operation. A step takes about 100 ns, so these take one or two seconds.
pub const MAX_STEPS: u64 = 10_000_000;
/// The maximum size of a parsed schema with its references in memory, in bytes (estimated).
pub const MAX_PARSED_BYTES: u64 = 64 << 20;
/// The maximum memory that a comparison needs beside the two schemas, in bytes (estimated).
pub const MAX_COMPARED_BYTES: u64 = 96 << 20;

/// The number of steps between two looks at the cancel flag.
const STEPS_BETWEEN_LOOKS: u64 = 2_000;

/// Tells work to end early. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Ends the work at its next step.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether [`Self::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkEnd {
    /// Its result is valid. The result can be that an operation exceeded its own limit.
    Complete,
    /// It was cancelled. Its result has no meaning.
    Cancelled,
    /// It needed more steps than the whole work may take. Its result has no meaning.
    OutOfSteps,
}

/// The limit that an operation exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BudgetExceeded {
    /// The steps of the operation.
    Steps,
    /// The bytes of the operation.
    Bytes(u64),
    /// The work was cancelled, or has no steps left.
    Stopped,
}

impl fmt::Display for BudgetExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps => {
                write!(f, "the schema is too complex: it takes more than {MAX_STEPS} steps to read it; split it, or simplify it")
            }
            Self::Bytes(limit) => {
                let limit = limit >> 20;
                write!(f, "the schema is too large: with its references it needs more than {limit} MiB in memory; split it, or simplify it")
            }
            Self::Stopped => f.write_str("the work on the schema was stopped"),
        }
    }
}

impl From<BudgetExceeded> for InvalidSchema {
    fn from(exceeded: BudgetExceeded) -> Self {
        Self::new(exceeded.to_string())
    }
}

impl From<BudgetExceeded> for String {
    fn from(exceeded: BudgetExceeded) -> Self {
        exceeded.to_string()
    }
}

/// The budget of the work on this thread.
struct ThreadBudget {
    /// Steps that the whole work may still take.
    work_steps: Cell<u64>,
    cancel: RefCell<Option<CancelFlag>>,
    /// Steps until the next look at the flag.
    until_look: Cell<u64>,
    end: Cell<WorkEnd>,
    /// Whether an operation runs.
    operating: Cell<bool>,
    /// Whether the last operation exceeded a limit.
    exceeded: Cell<bool>,
    steps: Cell<u64>,
    bytes: Cell<u64>,
    max_bytes: Cell<u64>,
}

thread_local! {
    static BUDGET: ThreadBudget = const {
        ThreadBudget {
            work_steps: Cell::new(u64::MAX),
            cancel: RefCell::new(None),
            until_look: Cell::new(STEPS_BETWEEN_LOOKS),
            end: Cell::new(WorkEnd::Complete),
            operating: Cell::new(false),
            exceeded: Cell::new(false),
            steps: Cell::new(0),
            bytes: Cell::new(0),
            max_bytes: Cell::new(0),
        }
    };
}

/// Runs work on this thread. It ends at its next step when the flag is set, or when all of it together took `max_steps`.
pub fn run_work<T>(cancel: &CancelFlag, max_steps: u64, work: impl FnOnce() -> T) -> (T, WorkEnd) {
    /// Removes the budget, also if the work panics.
    struct EndOfWork;
    impl Drop for EndOfWork {
        fn drop(&mut self) {
            BUDGET.with(|budget| {
                budget.work_steps.set(u64::MAX);
                budget.cancel.replace(None);
                budget.end.set(WorkEnd::Complete);
            });
        }
    }
    BUDGET.with(|budget| {
        budget.work_steps.set(max_steps);
        budget.cancel.replace(Some(cancel.clone()));
        budget.until_look.set(0);
        budget.end.set(WorkEnd::Complete);
    });
    let ends = EndOfWork;
    let result = work();
    let end = BUDGET.with(|budget| budget.end.get());
    drop(ends);
    (result, if end == WorkEnd::Complete && cancel.is_cancelled() { WorkEnd::Cancelled } else { end })
}

/// Runs an operation with its own steps and bytes. An operation within another one shares the budget of the outer one.
pub(crate) fn run_operation<T>(max_bytes: u64, operation: impl FnOnce() -> T) -> T {
    struct EndOfOperation;
    impl Drop for EndOfOperation {
        fn drop(&mut self) {
            BUDGET.with(|budget| budget.operating.set(false));
        }
    }
    let inner = BUDGET.with(|budget| {
        let inner = budget.operating.replace(true);
        if !inner {
            budget.exceeded.set(false);
            budget.steps.set(MAX_STEPS);
            budget.bytes.set(0);
            budget.max_bytes.set(max_bytes);
        }
        inner
    });
    let _end = (!inner).then(|| EndOfOperation);
    operation()
}

/// Returns whether the last operation of this thread exceeded a limit, or was stopped.
pub(crate) fn was_exceeded() -> bool {
    BUDGET.with(|budget| budget.exceeded.get())
}

/// Counts steps that the operation is about to take.
pub(crate) fn spend(steps: usize) -> Result<(), BudgetExceeded> {
    BUDGET.with(|budget| budget.spend(steps as u64).inspect_err(|_| budget.exceeded.set(true)))
}

impl ThreadBudget {
    fn spend(&self, steps: u64) -> Result<(), BudgetExceeded> {
        if self.end.get() != WorkEnd::Complete {
            return Err(BudgetExceeded::Stopped);
        }
        if !self.operating.get() {
            return Ok(());
        }
        let Some(left) = self.steps.get().checked_sub(steps) else {
            self.steps.set(0);
            return Err(BudgetExceeded::Steps);
        };
        self.steps.set(left);
        let Some(left) = self.work_steps.get().checked_sub(steps) else {
            self.end.set(WorkEnd::OutOfSteps);
            return Err(BudgetExceeded::Stopped);
        };
        self.work_steps.set(left);
        if let Some(left) = self.until_look.get().checked_sub(steps) {
            self.until_look.set(left);
            return Ok(());
        }
        self.until_look.set(STEPS_BETWEEN_LOOKS);
        if self.cancel.borrow().as_ref().is_some_and(CancelFlag::is_cancelled) {
            self.end.set(WorkEnd::Cancelled);
            return Err(BudgetExceeded::Stopped);
        }
        Ok(())
    }
}

/// Counts bytes that stay in memory until the operation ends, or as long as its result.
pub(crate) fn hold(bytes: usize) -> Result<(), BudgetExceeded> {
    BUDGET.with(|budget| {
        let held = budget.bytes.get().saturating_add(bytes as u64);
        budget.bytes.set(held);
        if budget.operating.get() && held > budget.max_bytes.get() {
            budget.exceeded.set(true);
            return Err(BudgetExceeded::Bytes(budget.max_bytes.get()));
        }
        Ok(())
    })
}

/// Returns the bytes that the operation holds.
pub(crate) fn held_bytes() -> u64 {
    BUDGET.with(|budget| budget.bytes.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_its_own_limits() {
        for _ in 0..2 {
            let result = run_operation(10, || {
                let steps = usize::try_from(MAX_STEPS).unwrap();
                (spend(steps), spend(1), run_operation(1_000, || hold(10)), hold(1), held_bytes())
            });
            assert_eq!(result, (Ok(()), Err(BudgetExceeded::Steps), Ok(()), Err(BudgetExceeded::Bytes(10)), 11));
        }
    }

    #[test]
    fn work_ends_when_it_is_cancelled_or_has_no_steps_left() {
        let cancel = CancelFlag::default();
        let (result, end) = run_work(&cancel, 100, || {
            let _ = run_operation(1, || spend(60).and(spend(60)));
            run_operation(1, || spend(1))
        });
        assert_eq!((result, end), (Err(BudgetExceeded::Stopped), WorkEnd::OutOfSteps));
        let (result, end) = run_work(&cancel, u64::MAX, || {
            run_operation(1, || {
                let before = spend(1);
                cancel.cancel();
                (before, (0..10_000).map(|_| spend(1)).find(Result::is_err))
            })
        });
        assert_eq!((result, end), ((Ok(()), Some(Err(BudgetExceeded::Stopped))), WorkEnd::Cancelled));
        assert_eq!(run_operation(1, || spend(10_000)), Ok(()));
    }
}
