//! Google's error shape: what both endpoints answer when they refuse.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

/// The canonical error codes that the endpoints use (google.rpc.Code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidArgument,
    NotFound,
    AlreadyExists,
    FailedPrecondition,
    Aborted,
    DeadlineExceeded,
    Unimplemented,
    Internal,
}

impl Code {
    /// The number that an operation's error carries.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::InvalidArgument => 3,
            Self::NotFound => 5,
            Self::AlreadyExists => 6,
            Self::FailedPrecondition => 9,
            Self::DeadlineExceeded => 4,
            Self::Aborted => 10,
            Self::Unimplemented => 12,
            Self::Internal => 13,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
        }
    }

    fn http(self) -> StatusCode {
        match self {
            Self::InvalidArgument | Self::FailedPrecondition => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists | Self::Aborted => StatusCode::CONFLICT,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Why a call was refused or an operation failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Status {
    pub(super) code: Code,
    pub(super) message: String,
    http: StatusCode,
    details: Vec<Value>,
}

impl Status {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), http: code.http(), details: Vec::new() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// A field or query parameter that is not valid, named in the message and in the details.
    pub(super) fn field(field: &str, why: impl Into<String>) -> Self {
        let why = why.into();
        let mut status = Self::invalid(format!("{field}: {why}"));
        status.details = vec![json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": why}],
        })];
        status
    }

    /// An HTTP status that no canonical code maps to.
    pub(super) fn http(http: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { http, ..Self::new(code, message) }
    }

    /// As gRPC carries it.
    pub(super) fn to_grpc(&self) -> tonic::Status {
        tonic::Status::new(tonic::Code::from(self.code.number()), self.message.clone())
    }

    /// As an operation holds it.
    pub(super) fn as_operation_error(&self) -> Value {
        json!({"code": self.code.number(), "message": self.message, "details": self.details})
    }
}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let error = json!({"error": {
            "code": self.http.as_u16(),
            "message": self.message,
            "status": self.code.name(),
            "details": self.details,
        }});
        (self.http, Json(error)).into_response()
    }
}
