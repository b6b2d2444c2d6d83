//! Steps as they are typed: a request, what is sent with it, expected of its answer and kept of it, or a group of steps.

use crate::scenario::located::{Json, Located};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// One request and what is expected of its answer: exactly one of `get`, `post`, `put`, `patch`, `delete`, `head`. Or a
/// group: `steps`, with `if` or `repeat`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct StepFile {
    /// Unique in its journey; steps of the same name in several journeys are reported together.
    pub(in crate::scenario) name: Option<Located<String>>,
    /// Path and query of a GET request; a template.
    pub(in crate::scenario) get: Option<Located<String>>,
    /// Path and query of a POST request; a template.
    pub(in crate::scenario) post: Option<Located<String>>,
    /// Path and query of a PUT request; a template.
    pub(in crate::scenario) put: Option<Located<String>>,
    /// Path and query of a PATCH request; a template.
    pub(in crate::scenario) patch: Option<Located<String>>,
    /// Path and query of a DELETE request; a template.
    pub(in crate::scenario) delete: Option<Located<String>>,
    /// Path and query of a HEAD request; a template.
    pub(in crate::scenario) head: Option<Located<String>>,
    /// Headers; values are templates. Cookies are kept and sent without being asked for.
    #[serde(default)]
    pub(in crate::scenario) headers: BTreeMap<String, Located<String>>,
    /// A JSON body whose strings are templates; `"${name}"` alone keeps the type of the value.
    pub(in crate::scenario) json: Option<Located<Json>>,
    /// Fields of a form (`application/x-www-form-urlencoded`); values are templates.
    pub(in crate::scenario) form: Option<BTreeMap<String, Located<String>>>,
    /// A body of text, a template; its content type is `text/plain` unless a header says otherwise.
    pub(in crate::scenario) text: Option<Located<String>>,
    /// A body that is the content of this file, at most 16 MiB; the path goes from the folder of the scenario file.
    pub(in crate::scenario) file: Option<Located<String>>,
    /// Parts of a form (`multipart/form-data`), in their order: fields of text and files in one body.
    pub(in crate::scenario) multipart: Option<Located<Vec<Located<FormPartFile>>>>,
    /// What the answer must be; without it any status below 400.
    pub(in crate::scenario) expect: Option<ExpectFile>,
    /// What is kept of the answer, by variable name, for later steps of the journey.
    #[serde(default)]
    pub(in crate::scenario) extract: BTreeMap<String, Located<ExtractFile>>,
    /// What the answer adds to which counter.
    #[serde(default)]
    pub(in crate::scenario) count: BTreeMap<String, Located<CountFile>>,
    /// Pause after the answer: `200ms`, `100ms to 300ms` (uniform) or `exponential 200ms`; none if left out.
    pub(in crate::scenario) think: Option<Located<String>>,
    /// How long the whole answer may take, redirects that are followed included; `30s` if left out.
    pub(in crate::scenario) timeout: Option<Located<String>>,
    /// How many redirects are followed within the step, to the target only; none if left out.
    pub(in crate::scenario) follow_redirects: Option<Located<u32>>,
    /// Whether a compressed answer is asked for (gzip, deflate, br, zstd).
    #[serde(default)]
    pub(in crate::scenario) compressed: bool,
    /// A condition such as `${stock} > 0`: unless it holds, the step or group is skipped. ==, !=, <, <=, >, >=, `exists`,
    /// `missing`, joined by `and`.
    #[serde(rename = "if")]
    pub(in crate::scenario) condition: Option<Located<String>>,
    /// How often the step or group is sent: `3`, `{from: 1, to: 4}` or `{until: "${state} == done", at_most: 10}`.
    #[schemars(schema_with = "number_or_repeat")]
    pub(in crate::scenario) repeat: Option<Located<RepeatFile>>,
    /// The steps of a group.
    pub(in crate::scenario) steps: Option<Located<Vec<Located<StepFile>>>>,
}

/// How often a step or group is sent: a number of times, drawn from a range, or until a condition holds.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct RepeatRangeFile {
    /// Fewest times; drawn from the seed, once for each journey.
    pub(in crate::scenario) from: Option<Located<u32>>,
    /// Most times.
    pub(in crate::scenario) to: Option<Located<u32>>,
    /// A condition that is asked after each time and ends the repeats.
    pub(in crate::scenario) until: Option<Located<String>>,
    /// With `until`: the most times.
    pub(in crate::scenario) at_most: Option<Located<u32>>,
}

/// How often a step or group is sent.
#[derive(Debug)]
pub(in crate::scenario) enum RepeatFile {
    /// So often.
    Times(u64),
    /// As the mapping says.
    Range(RepeatRangeFile),
    /// Neither.
    Unknown,
}

impl<'de> Deserialize<'de> for RepeatFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RepeatVisitor)
    }
}

struct RepeatVisitor;

impl<'de> Visitor<'de> for RepeatVisitor {
    type Value = RepeatFile;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a whole number, or `from` and `to`, or `until` and `at_most`")
    }

    fn visit_u64<E>(self, times: u64) -> Result<RepeatFile, E> {
        Ok(RepeatFile::Times(times))
    }

    fn visit_i64<E>(self, times: i64) -> Result<RepeatFile, E> {
        Ok(RepeatFile::Times(u64::try_from(times).unwrap_or_default()))
    }

    fn visit_str<E>(self, _: &str) -> Result<RepeatFile, E> {
        Ok(RepeatFile::Unknown)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RepeatFile, A::Error> {
        RepeatRangeFile::deserialize(MapAccessDeserializer::new(map)).map(RepeatFile::Range)
    }
}

/// What an answer must be. All of it must hold; `${name}` is a variable.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct ExpectFile {
    /// The accepted statuses; any below 400 if left out.
    pub(in crate::scenario) status: Option<Located<Vec<Located<u16>>>>,
    /// What holds for headers.
    #[serde(default)]
    pub(in crate::scenario) headers: BTreeMap<String, Located<TextExpectFile>>,
    /// What holds for the body as text.
    pub(in crate::scenario) body: Option<BodyExpectFile>,
    /// What holds for the first node that a JSONPath (RFC 9535) selects in the body.
    #[serde(default)]
    pub(in crate::scenario) json: BTreeMap<String, Located<JsonExpectFile>>,
    /// The most that the body may hold as it comes over the wire, such as `64KiB`.
    pub(in crate::scenario) max_size: Option<Located<String>>,
}

/// What holds for a text. Exactly one of `equals`, `contains`, `exists`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct TextExpectFile {
    /// It is this.
    pub(in crate::scenario) equals: Option<Located<String>>,
    /// This is part of it.
    pub(in crate::scenario) contains: Option<Located<String>>,
    /// Whether it is there.
    pub(in crate::scenario) exists: Option<bool>,
}

/// What holds for the body.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct BodyExpectFile {
    /// This is part of it.
    pub(in crate::scenario) contains: Located<String>,
}

/// What holds for a node of JSON. Exactly one of `equals`, `exists`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct JsonExpectFile {
    /// It is this value; a string may be a template, and `"${name}"` alone keeps the type of the value.
    pub(in crate::scenario) equals: Option<Located<Json>>,
    /// Whether it is there.
    pub(in crate::scenario) exists: Option<bool>,
}

/// Where a variable's value is found in an answer. Exactly one of `json`, `header`, `cookie`, `regex`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct ExtractFile {
    /// The first node of this JSONPath (RFC 9535) in the body.
    pub(in crate::scenario) json: Option<Located<String>>,
    /// The value of this header.
    pub(in crate::scenario) header: Option<Located<String>>,
    /// The value of this cookie, as the journey holds it after the answer.
    pub(in crate::scenario) cookie: Option<Located<String>>,
    /// The first match of this regular expression in the body (syntax of the Rust crate `regex`).
    pub(in crate::scenario) regex: Option<Located<String>>,
    /// With `regex`: which group; the first if left out, the whole match where there is none.
    pub(in crate::scenario) group: Option<Located<u32>>,
    /// Whether the step goes well without it: then the variable is `missing`, and is put in as nothing.
    #[serde(default)]
    pub(in crate::scenario) optional: bool,
}

/// What an answer adds to a counter.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct CountFile {
    /// A whole number, or a JSONPath (RFC 9535) whose selected numbers are summed.
    #[schemars(schema_with = "super::text_or_integer")]
    pub(in crate::scenario) add: Located<String>,
    /// Statuses of the answers that add; without it the statuses that the step expects.
    pub(in crate::scenario) when_status: Option<Located<Vec<Located<u16>>>>,
}

fn number_or_repeat(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let range = generator.subschema_for::<RepeatRangeFile>();
    schemars::json_schema!({ "anyOf": [{ "type": "integer", "minimum": 1 }, range, { "type": "null" }] })
}

/// A part of a form. Exactly one of `text`, `file`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct FormPartFile {
    /// Name of the field.
    pub(in crate::scenario) name: Located<String>,
    /// Text, a template.
    pub(in crate::scenario) text: Option<Located<String>>,
    /// The content of this file, at most 16 MiB; the path goes from the folder of the scenario file.
    pub(in crate::scenario) file: Option<Located<String>>,
    /// The name that the file is sent by; that of `file` if left out.
    pub(in crate::scenario) filename: Option<Located<String>>,
    /// Its content type; `application/octet-stream` for a file and none for text if left out.
    pub(in crate::scenario) content_type: Option<Located<String>>,
}
