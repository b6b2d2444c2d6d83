//! What a call carries: path parameters, query parameters and a JSON body, each refused in Google's shape.

use super::status::{Code, Status};
use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// A body may be this large. A service with a thousand variables of a kilobyte fits well.
const BODY_BYTES_MAX: usize = 4 << 20;

/// A body must have arrived by then: a client that sends a byte now and then would be served for ever.
pub(super) const BODY_TIME_MOST: Duration = Duration::from_secs(30);

/// Parameters that every Google API takes and that change nothing here.
const SYSTEM_PARAMETERS: [&str; 10] = [
    "alt",
    "access_token",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "uploadType",
    "upload_protocol",
];

/// Maps whose keys are the user's own words, never field names.
const MAPS: [&str; 4] = ["labels", "annotations", "limits", "nodeSelector"];

/// The parameters in the path, percent-decoded.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Status;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Status> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(params)| Self(params)).map_err(|error| Status::invalid(format!("the path: {error}")))
    }
}

/// The query parameters by their JSON names; a repeated one has several values.
#[derive(Debug, Default)]
pub(super) struct Queries(BTreeMap<String, Vec<String>>);

impl<S: Send + Sync> FromRequestParts<S> for Queries {
    type Rejection = Status;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Status> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Status::invalid(format!("the query string: {error}")))?;
        Ok(Self::from_pairs(pairs))
    }
}

impl Queries {
    pub(super) fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut queries = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in pairs {
            let name = if SYSTEM_PARAMETERS.contains(&name.as_str()) { name } else { camel_case(&name) };
            queries.entry(name).or_default().push(value);
        }
        Self(queries)
    }

    /// Refuses names that the call does not know: a misspelt `updateMask` would replace the whole service.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Status> {
        let stranger = self.0.keys().find(|name| {
            !name.starts_with('$') && !SYSTEM_PARAMETERS.contains(&name.as_str()) && !known.contains(&name.as_str())
        });
        match stranger {
            Some(name) => Err(Status::field(
                name,
                format!("unknown query parameter {name:?}; this call takes {}", known.join(", ")),
            )),
            None => Ok(()),
        }
    }

    /// The value, empty if absent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(|values| values.last()).map_or("", String::as_str)
    }

    /// Every value of a repeated parameter.
    pub(super) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// False if absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Status> {
        match self.text(name) {
            "" | "false" => Ok(false),
            "true" => Ok(true),
            other => Err(Status::field(name, format!("{other:?} is neither true nor false"))),
        }
    }

    /// Tells queries apart that differ in more than their page (FNV-1a over the sorted parameters and `seed`).
    pub(super) fn fingerprint(&self, seed: &str) -> u64 {
        let parameters = self.0.iter().filter(|(name, _)| !["pageSize", "pageToken"].contains(&name.as_str()));
        let words = parameters.flat_map(|(name, values)| std::iter::once(name).chain(values));
        let bytes = std::iter::once(seed).chain(words.map(String::as_str)).flat_map(|word| word.bytes().chain([0]));
        bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// The page size, `default` if absent or zero; larger than `most` means `most`, as Google takes it.
    pub(super) fn page_size(&self, default: usize, most: usize) -> Result<usize, Status> {
        match self.text("pageSize") {
            "" => Ok(default),
            text => match text.parse::<i32>().ok().and_then(|size| usize::try_from(size).ok()) {
                Some(0) => Ok(default),
                Some(size) => Ok(size.min(most)),
                None => Err(Status::field("pageSize", format!("{text:?} is not a count"))),
            },
        }
    }
}

/// A JSON object with field names as JSON writes them (`snake_case` names, which protocol buffers allow too, are
/// turned). An absent body is an empty object.
pub(super) struct Body(pub(super) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Status;

    async fn from_request(request: Request, _: &S) -> Result<Self, Status> {
        let bytes = tokio::time::timeout(BODY_TIME_MOST, to_bytes(request.into_body(), BODY_BYTES_MAX));
        let bytes = bytes.await.map_err(|_| {
            let message = format!("the body did not arrive within {} s", BODY_TIME_MOST.as_secs());
            Status::http(StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, message)
        })?;
        let bytes = bytes.map_err(|error| {
            let too_large = std::error::Error::source(&error)
                .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
            if too_large {
                let message = format!("the body is larger than {BODY_BYTES_MAX} bytes");
                Status::http(StatusCode::PAYLOAD_TOO_LARGE, Code::InvalidArgument, message)
            } else {
                Status::invalid(format!("the body could not be read: {error}"))
            }
        })?;
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => Ok(Self(with_json_names(object))),
            Ok(_) => Err(Status::invalid("invalid JSON payload received: an object is expected")),
            Err(error) => Err(Status::invalid(format!("invalid JSON payload received: {error}"))),
        }
    }
}

fn with_json_names(object: Map<String, Value>) -> Map<String, Value> {
    let turned = object.into_iter().map(|(name, value)| {
        let name = camel_case(&name);
        let value = if MAPS.contains(&name.as_str()) { value } else { value_with_json_names(value) };
        (name, value)
    });
    turned.collect()
}

fn value_with_json_names(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(with_json_names(object)),
        Value::Array(items) => Value::Array(items.into_iter().map(value_with_json_names).collect()),
        other => other,
    }
}

/// `max_instance_count` → `maxInstanceCount`.
pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.peek() {
            Some(next) if letter == '_' && next.is_ascii_lowercase() && !camel.is_empty() => {
                camel.push(next.to_ascii_uppercase());
                letters.next();
            }
            _ => camel.push(letter),
        }
    }
    camel
}
