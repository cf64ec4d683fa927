//! The canonical codes, and what each of them is in every protocol.

use http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $http:literal;)*) => {
        /// A canonical gRPC code (grpc.io, "Status codes and their use in gRPC").
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Code { $($(#[$doc])* $name = $number,)* }

        impl Code {
            /// All codes, each at the index of its number.
            pub const ALL: [Code; 17] = [$(Code::$name,)*];

            /// The name in upper snake case, as `NOT_FOUND`.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The HTTP status (the table of `google.rpc.Code`).
            pub fn http(self) -> StatusCode {
                let number = match self { $(Code::$name => $http,)* };
                StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    };
}

codes! {
    /// It worked.
    Ok = 0, "OK", 200;
    /// The client gave up.
    Cancelled = 1, "CANCELLED", 499;
    /// Something that has no better code.
    Unknown = 2, "UNKNOWN", 500;
    /// The request is wrong whatever the state of the data.
    InvalidArgument = 3, "INVALID_ARGUMENT", 400;
    /// The time was over before there was an answer.
    DeadlineExceeded = 4, "DEADLINE_EXCEEDED", 504;
    /// What was asked for is not there.
    NotFound = 5, "NOT_FOUND", 404;
    /// What was to be made is there.
    AlreadyExists = 6, "ALREADY_EXISTS", 409;
    /// The caller may not do this.
    PermissionDenied = 7, "PERMISSION_DENIED", 403;
    /// A limit is reached.
    ResourceExhausted = 8, "RESOURCE_EXHAUSTED", 429;
    /// The data is not in the state that this call needs.
    FailedPrecondition = 9, "FAILED_PRECONDITION", 400;
    /// A concurrent change came first; read again and retry.
    Aborted = 10, "ABORTED", 409;
    /// Beyond the end, or before the beginning, of what there is.
    OutOfRange = 11, "OUT_OF_RANGE", 400;
    /// This operation does not exist here.
    Unimplemented = 12, "UNIMPLEMENTED", 501;
    /// A defect of Prism or of a backend.
    Internal = 13, "INTERNAL", 500;
    /// The backend can't be reached now; retry later.
    Unavailable = 14, "UNAVAILABLE", 503;
    /// Data is lost or damaged.
    DataLoss = 15, "DATA_LOSS", 500;
    /// Who the caller is isn't known.
    Unauthenticated = 16, "UNAUTHENTICATED", 401;
}

impl Code {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The code of a number; unknown numbers are `UNKNOWN`, as the gRPC specification asks.
    pub fn from_number(number: i32) -> Self {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied().unwrap_or(Self::Unknown)
    }
}
