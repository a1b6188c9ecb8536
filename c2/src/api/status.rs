// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Refusals as statuses of gRPC and HTTP.

use tonic::{Code, Status};

use crate::domain::Error;

/// The status of an error. What only the operator should know goes to the log.
pub fn status(error: Error) -> Status {
    let code = match &error {
        Error::Invalid { .. } | Error::Message(_) => Code::InvalidArgument,
        Error::NotFound { .. } => Code::NotFound,
        Error::Exists { .. } => Code::AlreadyExists,
        Error::WrongMode { .. } | Error::Busy(_) => Code::FailedPrecondition,
        Error::Store(why) => {
            tracing::error!("database: {why}");
            return Status::unavailable("the database does not answer as it should; see the log");
        }
    };
    Status::new(code, error.to_string())
}

/// The HTTP status of a gRPC status.
pub fn http(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Cancelled => 499,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}
