//! What a request sends, and the files that it is read from.

use super::super::data::digest;
use super::super::error::Problems;
use super::super::file::{FormPartFile, StepFile};
use super::super::located::Located;
use super::super::{BODY_BYTES_MAX, Body, FileBody, FormContent, FormPart};
use super::exactly_one;
use super::variables::{Known, check_template};
use std::io::Read as _;
use std::path::Path;

/// At most one of the bodies that a step can have.
pub(super) fn body(written: &Located<StepFile>, known: &Known<'_>, folder: &Path, problems: &mut Problems) -> Body {
    let step = &written.value;
    let json = step.json.as_ref().map(|json| {
        json.value.each_text(json.at, &mut |text, at| check_template(text, at, known, problems));
        Body::Json(json.value.to_value())
    });
    let form = step.form.as_ref().map(|fields| {
        let mut field = |(name, value): (&String, &Located<String>)| {
            check_template(&value.value, value.at, known, problems);
            (name.clone(), value.value.clone())
        };
        Body::Form(fields.iter().map(&mut field).collect())
    });
    let text = step.text.as_ref().map(|text| {
        check_template(&text.value, text.at, known, problems);
        Body::Text(text.value.clone())
    });
    let file = step.file.as_ref().map(|file| Body::File(file_body(folder, file, problems)));
    let multipart = step.multipart.as_ref().map(|parts| multipart(parts, step, known, folder, problems));
    let bodies = vec![("json", json), ("form", form), ("text", text), ("file", file), ("multipart", multipart)];
    if bodies.iter().all(|(_, body)| body.is_none()) {
        return Body::Empty;
    }
    exactly_one(bodies, written.at, problems).unwrap_or_default()
}

fn file_body(folder: &Path, file: &Located<String>, problems: &mut Problems) -> FileBody {
    let content = read(folder, file, problems).unwrap_or_default();
    FileBody { file: file.value.clone(), digest: digest(&content), content: content.into() }
}

/// A form of several parts. Its own content type holds what stands between them, so the step may name none.
fn multipart(
    parts: &Located<Vec<Located<FormPartFile>>>,
    step: &StepFile,
    known: &Known<'_>,
    folder: &Path,
    problems: &mut Problems,
) -> Body {
    if parts.value.is_empty() {
        problems.add(parts.at, "the form has no part", "give at least one: `[{name: title, text: Hello}]`");
    }
    if let Some((_, value)) = step.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        let message = "a `multipart` body has a content type of its own, with the boundary between its parts";
        problems.add(value.at, message, "leave this header out");
    }
    let mut part = |written: &Located<FormPartFile>| {
        let part = &written.value;
        let text = part.text.as_ref().map(|text| {
            check_template(&text.value, text.at, known, problems);
            FormContent::Text(text.value.clone())
        });
        let file = part.file.as_ref().map(|file| FormContent::File(file_body(folder, file, problems)));
        let kind = part.content_type.as_ref();
        if let Some(kind) = kind
            && !kind.value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        {
            problems.add(kind.at, "this cannot be a content type", "write one such as `image/png`");
        }
        let last =
            |path: &Located<String>| Path::new(&path.value).file_name().map(|name| name.to_string_lossy().into_owned());
        let filename = part.filename.as_ref().map(|name| name.value.clone());
        let of_file = part.file.as_ref().map(|_| "application/octet-stream".to_owned());
        Some(FormPart {
            name: part.name.value.clone(),
            filename: filename.or_else(|| part.file.as_ref().and_then(last)),
            content_type: kind.map(|kind| kind.value.clone()).or(of_file),
            content: exactly_one(vec![("text", text), ("file", file)], written.at, problems)?,
        })
    };
    Body::Multipart(parts.value.iter().filter_map(&mut part).collect())
}

/// The content of a file that the scenario names; `None` with a problem noted.
pub(super) fn read(folder: &Path, file: &Located<String>, problems: &mut Problems) -> Option<Vec<u8>> {
    let path = folder.join(&file.value);
    let mut refuse = |what: String, hint: &str| {
        problems.add(file.at, what, hint);
        None
    };
    let hint = "a path goes from the folder of the scenario file";
    let open = || {
        // A pipe or a device could keep the reader waiting for ever.
        let kind = std::fs::metadata(&path)?;
        if !kind.is_file() {
            return Err(std::io::Error::other("it is no file"));
        }
        let mut content = Vec::new();
        std::fs::File::open(&path)?.take(BODY_BYTES_MAX as u64 + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    match open() {
        Ok(content) if content.len() > BODY_BYTES_MAX => {
            refuse(format!("the file {} is too large", path.display()), "at most 16 MiB are read")
        }
        Ok(content) => Some(content),
        Err(error) => refuse(format!("cannot read the file {}: {error}", path.display()), hint),
    }
}
