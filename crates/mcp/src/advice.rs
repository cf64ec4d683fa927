//! What an agent should do after an error.

use prism_call::{Code, Error};

/// Advice for reasons that say more than their code.
const BY_REASON: [(&str, &str); 5] = [
    ("RESULT_TOO_LARGE", "Ask for less: fewer names at once, a smaller `limit` or range, or only keys instead of values."),
    (
        "REVISION_MISMATCH",
        "Something else was written in between. Read it again, decide again, and repeat the call with the revision that you read.",
    ),
    ("KEY_NOT_FOUND", "Check the spelling of the key, or look for it with a tool that lists or scans keys. Do not guess keys."),
    ("CAPABILITY_UNAVAILABLE", "The backend of this namespace can't do this. Use another tool; calling again will not help."),
    ("VALUE_TOO_LARGE", "Store less, or split it into several values."),
];

/// Returns what an agent should do after an error of a call. `writes`: the call may have changed data.
pub fn advice(error: &Error, writes: bool) -> String {
    if let Some((_, text)) = BY_REASON.iter().find(|(reason, _)| *reason == error.reason()) {
        return (*text).to_owned();
    }
    let wait = match error.retry_after() {
        Some(delay) => format!("Wait {} seconds", delay.as_secs_f64().ceil().max(1.0)),
        None => "Wait some seconds".to_owned(),
    };
    let unknown_outcome = "It is not known whether the call took effect: read the data first, and repeat the call only if it did not.";
    match error.code() {
        Code::InvalidArgument | Code::OutOfRange => "Correct the arguments, and call again.".to_owned(),
        Code::NotFound => "Check the name, or look for what exists with a tool that lists or scans.".to_owned(),
        Code::AlreadyExists => "Read what exists, and change that, or choose another name.".to_owned(),
        Code::Aborted => "Something else changed it in between. Read it again, and repeat the call if it is still right.".to_owned(),
        Code::FailedPrecondition => {
            "The data is not in the state that the call needs. Read it, and bring it into that state first.".to_owned()
        }
        Code::PermissionDenied => {
            "The credentials of this client do not allow it. Do not try again: tell the user, who can ask an operator for the permission."
                .to_owned()
        }
        Code::Unauthenticated => "The credentials of this client are missing or no longer valid. Ask the user to renew them.".to_owned(),
        Code::ResourceExhausted => format!("A limit is reached. {wait}, then call again, or ask for less."),
        Code::Unavailable if writes => format!("The backend can't be reached now. {wait}. {unknown_outcome}"),
        Code::Unavailable => format!("The backend can't be reached now. {wait}, then call again."),
        Code::DeadlineExceeded | Code::Cancelled if writes => unknown_outcome.to_owned(),
        Code::DeadlineExceeded | Code::Cancelled => "It took too long. Ask for less, or call again.".to_owned(),
        Code::Unimplemented => "This namespace can't do this. Use another tool.".to_owned(),
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => {
            "This is a defect, and calling again will hardly help. Tell the user, with the id of the request.".to_owned()
        }
    }
}
