//! CSV files: whatever is wrong in one is told with its line, and the file is refused as a whole.

use super::super::data::digest;
use super::super::error::{Problems, offer};
use super::super::file::{DataFile, DataOrderFile};
use super::super::located::Located;
use super::super::{DataOrder, DataSet, LoadModel, Plan, Scenario, template};
use super::bodies::read;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Data as typed.
pub(super) type Data = BTreeMap<String, Located<DataFile>>;

pub(super) fn data(written: &Data, folder: &Path, problems: &mut Problems) -> BTreeMap<String, DataSet> {
    let mut sets = BTreeMap::new();
    for (name, data) in written {
        if !template::is_name(name) {
            problems.add(
                data.at,
                format!("`{name}` cannot be the name of data"),
                "use letters, digits and `_`, not starting with a digit",
            );
        }
        if let Some(set) = set(&data.value, folder, problems) {
            sets.insert(name.clone(), set);
        }
    }
    sets
}

/// What templates may call the columns: `name.column`, and `name.*` where the file could not be read: then what its
/// columns would be called is not known, and not worth a complaint beside that.
pub(super) fn columns(written: &Data, sets: &BTreeMap<String, DataSet>) -> Vec<String> {
    let of = |name: &String| match sets.get(name) {
        Some(set) => set.columns.iter().map(|column| format!("{name}.{column}")).collect(),
        None => vec![format!("{name}.*")],
    };
    written.keys().flat_map(of).collect()
}

/// Notes data whose rows are too few to give each virtual user one; the stages of `scenario` are known.
pub(super) fn check_virtual_users(written: &Data, scenario: &Scenario, problems: &mut Problems) {
    for (name, data) in written {
        let Some(order) = data.value.order.as_ref().filter(|order| order.value == DataOrderFile::UniquePerVirtualUser)
        else {
            continue;
        };
        let Some(set) = scenario.data.get(name) else { continue };
        if scenario.load != LoadModel::Closed {
            problems.add(
                order.at,
                "an open load has arrivals and no virtual users",
                "write `sequential`, which gives each arrival the next row, or `load: closed`",
            );
            continue;
        }
        // The plan tells how many there are; neither its seed nor its time factor changes that.
        let users = Plan::new(Arc::new(scenario.clone()), 0, 1.0).virtual_users();
        if users as usize > set.rows.len() {
            problems.add(
                order.at,
                format!("{} has {} rows for {users} virtual users", set.file, set.rows.len()),
                "add rows, lower the levels of the stages, or write `sequential`",
            );
        }
    }
}

fn set(written: &DataFile, folder: &Path, problems: &mut Problems) -> Option<DataSet> {
    let file = &written.file;
    let content = read(folder, file, problems)?;
    let mut refuse = |place: &str, message: String| {
        let name = &file.value;
        problems.add(
            file.at,
            format!("{name}{place}: {message}"),
            "the first line names the columns, each other line is a row; a text with `,`, `\"` or a line break stands in \
             double quotes, each `\"` in it twice",
        );
    };
    if let Err((line, character, message)) = check_quotes(&content) {
        refuse(&format!(":{line}:{character}"), message.to_owned());
        return None;
    }
    let mut reader = csv::ReaderBuilder::new().from_reader(content.as_slice());
    let mut records = Vec::new();
    let columns: Vec<String> = match reader.headers() {
        Ok(headers) => headers.iter().map(|column| column.trim().to_owned()).collect(),
        Err(error) => {
            refuse(&place(&error), told(&error));
            return None;
        }
    };
    for record in reader.records() {
        match record {
            Ok(record) => records.push(record),
            Err(error) => {
                refuse(&place(&error), told(&error));
                return None;
            }
        }
    }
    if records.is_empty() {
        refuse("", "it has no rows".to_owned());
        return None;
    }
    for (index, column) in columns.iter().enumerate() {
        if !template::is_name(column) {
            refuse(":1", format!("column {} cannot be called `{column}`: use letters, digits and `_`", index + 1));
            return None;
        }
        if columns[..index].contains(column) {
            refuse(":1", format!("two columns are called `{column}`"));
            return None;
        }
    }
    let numbers = numbers(written, &columns, problems);
    let rows = rows(written, &records, &columns, &numbers, problems)?;
    let order = match written.order.as_ref().map(|order| order.value) {
        None | Some(DataOrderFile::Sequential) => DataOrder::Sequential,
        Some(DataOrderFile::Random) => DataOrder::Random,
        Some(DataOrderFile::UniquePerVirtualUser) => DataOrder::UniquePerVirtualUser,
    };
    Some(DataSet { file: file.value.clone(), order, columns, digest: digest(&content), rows })
}

/// Which columns hold numbers.
fn numbers(written: &DataFile, columns: &[String], problems: &mut Problems) -> Vec<bool> {
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    for name in &written.numbers {
        if !columns.contains(&name.value) {
            problems.add(
                name.at,
                format!("{} has no column `{}`", written.file.value, name.value),
                offer(&name.value, &names),
            );
        }
    }
    columns.iter().map(|column| written.numbers.iter().any(|name| name.value == *column)).collect()
}

fn rows(
    written: &DataFile,
    records: &[csv::StringRecord],
    columns: &[String],
    numbers: &[bool],
    problems: &mut Problems,
) -> Option<Vec<Vec<Value>>> {
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        let mut row = Vec::with_capacity(columns.len());
        for (index, field) in record.iter().enumerate() {
            let number = serde_json::from_str::<serde_json::Number>(field.trim());
            match (numbers.get(index), number) {
                (Some(true), Ok(number)) => row.push(Value::Number(number)),
                (Some(true), Err(_)) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    problems.add(
                        written.file.at,
                        format!(
                            "{}:{line}: `{field}` in column `{}` is not a number",
                            written.file.value, columns[index]
                        ),
                        "mend the line, or take the column out of `numbers`",
                    );
                    return None;
                }
                _ => row.push(Value::from(field)),
            }
        }
        rows.push(row);
    }
    Some(rows)
}

/// Where a CSV error is.
fn place(error: &csv::Error) -> String {
    error.position().map_or_else(String::new, |position| format!(":{}", position.line()))
}

/// What a CSV error says.
fn told(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the line has {len} fields, the first line {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("field {} is not UTF-8", err.field() + 1),
        _ => "it cannot be read as CSV".to_owned(),
    }
}

/// The CSV reader takes quotes that are not closed, or stand in the middle of a field, for what they might mean. Here
/// they are told, with line and character from 1.
fn check_quotes(content: &[u8]) -> Result<(), (u64, u64, &'static str)> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let (mut line, mut character) = (1, 0);
    let mut opened = (1, 1);
    // Whether a field begins here; is within quotes; has just been closed.
    let (mut begins, mut quoted, mut closed) = (true, false, false);
    for byte in content {
        // Continuation bytes belong to the character before them.
        character += u64::from(byte & 0xc0 != 0x80);
        match byte {
            b'"' if quoted => (quoted, closed) = (false, true),
            // A quote right after a closing one stands for itself.
            b'"' if closed => (quoted, closed) = (true, false),
            b'"' if begins => (quoted, begins, opened) = (true, false, (line, character)),
            b'"' if !quoted => return Err((line, character, "a quote stands inside a field that has none around it")),
            b',' | b'\n' | b'\r' if !quoted => (begins, closed) = (true, false),
            _ if closed => {
                return Err((line, character, "after a closing quote a `,` or the end of the line is missing"));
            }
            _ => begins = begins && quoted,
        }
        if *byte == b'\n' {
            (line, character) = (line + 1, 0);
        }
    }
    if quoted { Err((opened.0, opened.1, "the quote that opens here is not closed")) } else { Ok(()) }
}
