//! What a step is: one request, and what is expected of its answer and kept of it; and where the values come from that
//! its templates put in.

use super::{Counter, FormPart};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a body may hold, in bytes, before it is given up: of an answer, as it comes and after decompression, and of a
/// file that is sent.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One request and what is expected of its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Name; steps of the same name in several journeys are reported together.
    pub name: String,
    /// HTTP method, upper case.
    pub method: String,
    /// Path and query as a template; absolute, starts with `/`.
    pub path: String,
    /// Headers as (name in lower case, template).
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Body,
    /// What must come back.
    pub expect: Expectation,
    /// What is kept of the answer, by variable name.
    pub extract: BTreeMap<String, Extraction>,
    /// What its answers add to which counter, by the counter's name.
    #[serde(default)]
    pub counts: BTreeMap<String, Counter>,
    /// Pause between this step's answer and the next step's due time.
    pub think: ThinkTime,
    /// The answer must be complete this long after the sending, else the outcome is "timed out". Redirects that are
    /// followed share it.
    pub timeout: Duration,
    /// How many redirects of the target's own are followed; 0 for none.
    #[serde(default)]
    pub follow_redirects: u32,
    /// Whether a compressed answer is asked for.
    #[serde(default)]
    pub compressed: bool,
}

/// The body of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// JSON whose strings are templates. A string that is one whole template keeps the value's type:
    /// `"${product}"` with the variable 4 becomes the number 4.
    Json(serde_json::Value),
    /// Fields of a form (`application/x-www-form-urlencoded`) as (name, template).
    Form(Vec<(String, String)>),
    /// Text, a template.
    Text(String),
    /// The bytes of a file, as they are.
    File(FileBody),
    /// Parts of a form (`multipart/form-data`), in their order.
    Multipart(Vec<FormPart>),
}

/// A file that is sent as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileBody {
    /// The path as written.
    pub file: String,
    /// Tells whether the file is still the same: FNV-1a of its bytes.
    pub digest: u64,
    /// What is in it; never saved.
    #[serde(skip)]
    #[schemars(skip)]
    pub content: bytes::Bytes,
}

/// What an answer must be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Accepted status codes; empty means any below 400.
    pub statuses: Vec<u16>,
    /// What else must hold, in the order it is checked.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// One thing that must hold for an answer. Texts are templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Check {
    /// The body, as it came over the wire, holds at most this many bytes.
    BytesMax(usize),
    /// A header's value.
    Header {
        /// The header, in lower case.
        name: String,
        /// What holds for it.
        holds: TextTest,
    },
    /// The body holds this text, bytes that are no UTF-8 left as they are.
    BodyContains(String),
    /// The first node that a `JSONPath` selects.
    Json {
        /// The path (RFC 9535).
        path: String,
        /// What holds for it.
        holds: JsonTest,
    },
}

/// What must hold for a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum TextTest {
    /// It is this.
    Equals(String),
    /// This is part of it.
    Contains(String),
    /// It is there, or it is not.
    Exists(bool),
}

/// What must hold for a node of a JSON body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum JsonTest {
    /// It is this. A string is a template, and one that is a whole template keeps the value's type.
    Equals(serde_json::Value),
    /// It is there, or it is not.
    Exists(bool),
}

/// Where a variable's value is found in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extraction {
    /// Where.
    pub from: Source,
    /// Whether the step goes well without it: then the variable has no value.
    #[serde(default)]
    pub optional: bool,
}

/// A place in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Source {
    /// The first node of this `JSONPath` (RFC 9535) in the body.
    Json(String),
    /// The value of this header.
    Header(String),
    /// The value of this cookie, as the journey holds it after the answer.
    Cookie(String),
    /// A group of the first match of a regular expression in the body.
    Regex {
        /// The expression, in the syntax of the `regex` crate.
        pattern: String,
        /// Number of the group; 0 is the whole match.
        group: usize,
    },
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Field {
    /// Always this value.
    Constant(serde_json::Value),
    /// One of these, by weight.
    Choice {
        /// The values, at least one.
        values: Vec<serde_json::Value>,
        /// Their weights, as many as values, each at least 0 and their sum above 0.
        weights: Vec<f64>,
    },
    /// A whole number, both ends included.
    Integer {
        /// Smallest.
        from: i64,
        /// Largest.
        to: i64,
    },
    /// A number with so many digits after the point, each as likely as the others, both ends included.
    Decimal {
        /// Smallest, in units of the last digit.
        from: i64,
        /// Largest, in units of the last digit.
        to: i64,
        /// Digits after the point, at most 9.
        digits: u32,
    },
    /// Random letters and digits.
    Alphanumeric {
        /// How many.
        length: usize,
    },
    /// from, from + step, from + 2·step, …: the next one with each arrival, or with each session of the closed model.
    Counter {
        /// The first.
        from: i64,
        /// From one to the next.
        step: i64,
    },
    /// When the journey is due: the start of the load, plus the due time of the arrival or session.
    Timestamp(TimestampForm),
    /// An e-mail address of the form `user-<8 hex digits>@example.com`.
    Email,
    /// A random (version 4) UUID.
    Uuid,
}

/// How an instant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampForm {
    /// `2026-11-22T16:40:00.000Z`, to the millisecond.
    Rfc3339,
    /// Milliseconds since 1970, a number.
    UnixMs,
}

/// A pause.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ThinkTime {
    /// Always this long; zero for none.
    Constant(Duration),
    /// Uniform between the two.
    Uniform {
        /// Shortest.
        from: Duration,
        /// Longest.
        to: Duration,
    },
    /// Exponential with this mean.
    Exponential(Duration),
}
