//! The canonical status codes, and their values in every protocol.

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

            /// Returns the name in upper snake case, for example `NOT_FOUND`.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// Returns the HTTP status (table in `google.rpc.Code`).
            pub fn http(self) -> StatusCode {
                let number = match self { $(Code::$name => $http,)* };
                StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    };
}

codes! {
    /// The call succeeded.
    Ok = 0, "OK", 200;
    /// The client cancelled the call.
    Cancelled = 1, "CANCELLED", 499;
    /// An error for which no other code fits.
    Unknown = 2, "UNKNOWN", 500;
    /// The request is invalid, regardless of the state of the data.
    InvalidArgument = 3, "INVALID_ARGUMENT", 400;
    /// The deadline passed before the reply was ready.
    DeadlineExceeded = 4, "DEADLINE_EXCEEDED", 504;
    /// The requested entity does not exist.
    NotFound = 5, "NOT_FOUND", 404;
    /// The entity to create already exists.
    AlreadyExists = 6, "ALREADY_EXISTS", 409;
    /// The caller lacks the permission.
    PermissionDenied = 7, "PERMISSION_DENIED", 403;
    /// A limit is exceeded.
    ResourceExhausted = 8, "RESOURCE_EXHAUSTED", 429;
    /// The data is not in the state that the call requires.
    FailedPrecondition = 9, "FAILED_PRECONDITION", 400;
    /// A concurrent change was applied first; read again and retry.
    Aborted = 10, "ABORTED", 409;
    /// The position is outside the range of the data.
    OutOfRange = 11, "OUT_OF_RANGE", 400;
    /// The operation is not supported.
    Unimplemented = 12, "UNIMPLEMENTED", 501;
    /// A defect of Prism or of a backend.
    Internal = 13, "INTERNAL", 500;
    /// The backend can't be reached now; retry later.
    Unavailable = 14, "UNAVAILABLE", 503;
    /// Data is lost or damaged.
    DataLoss = 15, "DATA_LOSS", 500;
    /// The caller is not authenticated.
    Unauthenticated = 16, "UNAUTHENTICATED", 401;
}

impl Code {
    /// Returns the number on the wire.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// Returns the code of a number. Unknown numbers become `UNKNOWN`, as the gRPC specification requires.
    pub fn from_number(number: i32) -> Self {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied().unwrap_or(Self::Unknown)
    }
}
