//! What a request sends, and the files that it is read from.

use super::super::data::digest;
use super::super::error::Problems;
use super::super::file::StepFile;
use super::super::located::Located;
use super::super::{BODY_BYTES_MAX, Body, FileBody};
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
    let file = step.file.as_ref().map(|file| {
        let content = read(folder, file, problems).unwrap_or_default();
        Body::File(FileBody { file: file.value.clone(), digest: digest(&content), content: content.into() })
    });
    if json.is_none() && form.is_none() && text.is_none() && file.is_none() {
        return Body::Empty;
    }
    let bodies = vec![("json", json), ("form", form), ("text", text), ("file", file)];
    exactly_one(bodies, written.at, problems).unwrap_or_default()
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
