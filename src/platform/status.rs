//! Google's error shape: what both endpoints answer when they refuse.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use prost::Message;
use serde_json::{Value, json};

/// The canonical error codes that the endpoints use (google.rpc.Code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidArgument,
    NotFound,
    AlreadyExists,
    PermissionDenied,
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
            Self::PermissionDenied => 7,
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
            Self::PermissionDenied => "PERMISSION_DENIED",
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
            Self::PermissionDenied => StatusCode::FORBIDDEN,
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

    /// As gRPC carries it, with the details in `grpc-status-details-bin`.
    pub(super) fn to_grpc(&self) -> tonic::Status {
        let details = self.details.iter().filter_map(detail).collect();
        let status = RpcStatus { code: self.code.number(), message: self.message.clone(), details };
        let bytes = if status.details.is_empty() { Vec::new() } else { status.encode_to_vec() };
        tonic::Status::with_details(tonic::Code::from(self.code.number()), self.message.clone(), bytes.into())
    }

    /// As an operation holds it.
    pub(super) fn as_operation_error(&self) -> Value {
        json!({"code": self.code.number(), "message": self.message, "details": self.details})
    }
}

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.BadRequest`
#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`
#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

/// A detail in protocol buffers; all that there are name fields.
fn detail(json: &Value) -> Option<prost_types::Any> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let violations = json["fieldViolations"].as_array()?.iter();
    let field_violations = violations
        .map(|it| FieldViolation { field: text(&it["field"]), description: text(&it["description"]) })
        .collect();
    Some(prost_types::Any { type_url: text(&json["@type"]), value: BadRequest { field_violations }.encode_to_vec() })
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
