//! Forms of several parts (`multipart/form-data`, RFC 7578): fields of text and files in one body.

use super::render::{Form, Part, rendered};
use super::{Body, FileBody};
use bytes::Bytes;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write as _;

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FormPart {
    /// Name of the field.
    pub name: String,
    /// What is in it.
    pub content: FormContent,
    /// Name of the file that it is said to be, if it is one.
    pub filename: Option<String>,
    /// Its content type, if it is said.
    pub content_type: Option<String>,
}

/// What is in a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum FormContent {
    /// Text, a template.
    Text(String),
    /// The bytes of a file, as they are.
    File(FileBody),
}

impl Body {
    /// The files in it.
    pub(super) fn files_mut<'a>(&'a mut self) -> Vec<&'a mut FileBody> {
        match self {
            Self::File(file) => vec![file],
            Self::Multipart(parts) => {
                let file = |part: &'a mut FormPart| match &mut part.content {
                    FormContent::File(file) => Some(file),
                    FormContent::Text(_) => None,
                };
                parts.iter_mut().filter_map(file).collect()
            }
            Self::Empty | Self::Json(_) | Self::Form(_) | Self::Text(_) => Vec::new(),
        }
    }
}

/// A stretch of a compiled body.
#[derive(Debug)]
pub(super) enum Piece {
    /// The same each time.
    Fixed(Bytes),
    /// Text with values.
    Text(Vec<Part>),
}

/// What stands between the parts of every form of a plan with this seed. 128 random bits are in no content but by an echo
/// of themselves.
pub(super) fn boundary(seed: u64) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // No journey draws from here.
    random.set_stream(u64::MAX);
    format!("tidegate-{:016x}{:016x}", random.next_u64(), random.next_u64())
}

/// What the whole body is said to be.
pub(super) fn content_type(boundary: &str) -> String {
    format!("multipart/form-data; boundary={boundary}")
}

/// Writes a form once and for all but for its values; `compile` makes parts of a template.
pub(super) fn pieces(parts: &[FormPart], boundary: &str, mut compile: impl FnMut(&str) -> Vec<Part>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut fixed = String::new();
    // Writing into a String cannot fail.
    for part in parts {
        let _ = write!(fixed, "--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"", quoted(&part.name));
        if let Some(filename) = &part.filename {
            let _ = write!(fixed, "; filename=\"{}\"", quoted(filename));
        }
        if let Some(content_type) = &part.content_type {
            let _ = write!(fixed, "\r\ncontent-type: {content_type}");
        }
        fixed.push_str("\r\n\r\n");
        pieces.push(Piece::Fixed(Bytes::from(std::mem::take(&mut fixed))));
        pieces.push(match &part.content {
            FormContent::Text(text) => Piece::Text(compile(text)),
            FormContent::File(file) => Piece::Fixed(file.content.clone()),
        });
        fixed.push_str("\r\n");
    }
    let _ = write!(fixed, "--{boundary}--\r\n");
    pieces.push(Piece::Fixed(Bytes::from(fixed)));
    pieces
}

/// The body with these values in it.
pub(super) fn written(pieces: &[Piece], values: &[Value]) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Fixed(bytes) => body.extend_from_slice(bytes),
            Piece::Text(parts) => body.extend_from_slice(rendered(parts, values, Form::Plain).as_bytes()),
        }
    }
    body
}

/// A name in quotes, as browsers write it: the standard's `multipart/form-data` encoding of HTML, which RFC 7578 leaves open.
fn quoted(name: &str) -> String {
    name.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22")
}

#[cfg(test)]
mod tests {
    use crate::scenario::{Arrival, Occasion, Plan, Scenario, ScenarioError, Session};
    use std::path::Path;
    use std::sync::Arc;

    fn scenario(folder: &Path, step: &str) -> Result<Scenario, ScenarioError> {
        let text = format!(
            "name: s\nvariables: {{v: {{constant: \"a&\\\"b\\u00fc\"}}}}\n\
             journeys: [{{name: j, steps: [{{name: s, post: /, {step}}}]}}]\n\
             load: closed\nstages: [{{name: n, hold: 1, duration: 1s}}]\n"
        );
        Scenario::from_yaml(&folder.join("s.yaml"), &text)
    }

    /// The content type and the body of the first request under this seed.
    fn sent(scenario: &Scenario, seed: u64) -> (String, Vec<u8>) {
        let plan = Plan::new(Arc::new(scenario.clone()), seed, 1.0);
        let arrival = Arrival { index: 1, due: std::time::Duration::ZERO, journey: 0, stage: 0, request: None };
        let occasion = Occasion::of_arrival(&arrival, jiff::Timestamp::UNIX_EPOCH);
        let request = Session::new(&plan, &occasion, plan.draws_of_arrival(1), "http://h").request(0);
        let kind = request.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.clone());
        (kind.unwrap(), request.body.to_vec())
    }

    const FORM: &str = "multipart: [{name: \"the \\\"title\\\"\", text: '<${v}>'}, \
        {name: picture, file: deep/cat.bin, content_type: image/png}, {name: raw, file: deep/cat.bin, filename: other}]";

    #[test]
    fn parts_are_written_as_rfc_7578_has_them_with_a_boundary_of_the_seed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("deep/cat.bin"), b"\x00\xff${v}\r\n--").unwrap();
        let scenario = scenario(folder.path(), FORM).unwrap();
        let (kind, body) = sent(&scenario, 7);
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        assert!(boundary.len() == 41 && boundary.starts_with("tidegate-"), "{boundary}");
        let expected = [
            b"--BOUNDARY\r\ncontent-disposition: form-data; name=\"the %22title%22\"\r\n\r\n<a&\"b\xc3\xbc>\r\n"
                .as_slice(),
            b"--BOUNDARY\r\ncontent-disposition: form-data; name=\"picture\"; filename=\"cat.bin\"\r\n",
            b"content-type: image/png\r\n\r\n\x00\xff${v}\r\n--\r\n",
            b"--BOUNDARY\r\ncontent-disposition: form-data; name=\"raw\"; filename=\"other\"\r\n",
            b"content-type: application/octet-stream\r\n\r\n\x00\xff${v}\r\n--\r\n--BOUNDARY--\r\n",
        ]
        .concat();
        let mut filled = Vec::new();
        for piece in expected.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_prefix(b"--BOUNDARY") {
                Some(rest) => filled.extend([b"--", boundary.as_bytes(), rest].concat()),
                None => filled.extend(piece),
            }
        }
        assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(&filled));
        assert_eq!(body, filled);

        assert_eq!(sent(&scenario, 7), (kind.clone(), body), "the same seed sends the same bytes");
        assert_ne!(sent(&scenario, 8).0, kind);
        // What was in the files is not saved, only whether it changed.
        let saved = serde_json::to_string(&scenario.without_content()).unwrap();
        let read: Scenario = serde_json::from_str(&saved).unwrap();
        assert_eq!(read, scenario.without_content());
        assert!(read != scenario);
    }

    #[test]
    fn a_form_that_could_not_be_sent_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        for (step, place_and_words) in [
            ("multipart: []", ": the form has no part"),
            ("multipart: [{name: a}]", "one of `file`, `text` is missing"),
            ("multipart: [{name: a, text: b, file: c}]", "cannot read the file"),
            ("multipart: [{name: a, text: '${w}'}]", "w"),
            ("multipart: [{name: a, text: b, content_type: \"a\\nb\"}]", "this cannot be a content type"),
            ("multipart: [{name: a, text: b}], headers: {Content-Type: a/b}", "a content type of its own"),
            ("multipart: [{name: a, text: b}], json: 1", "`json` and `multipart` stand together"),
        ] {
            let error = scenario(folder.path(), step).unwrap_err().to_string();
            assert!(error.contains(place_and_words) && error.contains("s.yaml:"), "{step}: {error}");
        }
    }
}
