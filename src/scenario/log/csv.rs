//! Comma-separated values with a column of times. Each line is a record: a record that goes on over several lines is no
//! time, and would let a single stray quote swallow the file.

use super::{Column, Content, Flaw, LogError, TimeUnit, shortened, time};
use csv_core::ReadFieldResult;

/// Reads record by record.
pub(super) struct Reader {
    /// Which column, once it is known.
    column: Option<usize>,
    name: Option<String>,
    unit: TimeUnit,
    /// Whether no line has been read.
    at_first: bool,
}

/// A field and where it begins, in bytes.
struct Cell {
    at: usize,
    text: String,
}

impl Reader {
    pub(super) fn new(column: &Column, unit: TimeUnit) -> Self {
        let (column, name) = match column {
            Column::Number(number) => (Some(*number), None),
            Column::Name(name) => (None, Some(name.clone())),
        };
        Self { column, name, unit, at_first: true }
    }

    /// The arrival of a line. The outer error is that of the log as a whole.
    pub(super) fn arrival(&mut self, line: &[u8]) -> Result<Result<Content, Flaw>, LogError> {
        let at_first = std::mem::take(&mut self.at_first);
        let cells = cells(line);
        let Some(column) = self.column else {
            let name = self.name.take().unwrap_or_default();
            let columns: Vec<String> = cells.into_iter().map(|cell| cell.text.trim().to_owned()).collect();
            self.column = columns.iter().position(|column| *column == name);
            if self.column.is_none() {
                return Err(LogError::NoColumn { name, columns });
            }
            return Ok(Ok(Content::Nothing));
        };
        let Some(cell) = cells.get(column) else {
            let columns = if cells.len() == 1 { "column" } else { "columns" };
            let cause = format!("this line has {} {columns}, and the times are in number {}", cells.len(), column + 1);
            return Ok(Err(Flaw { at: 0, cause }));
        };
        let parsed = time::number(&cell.text, self.unit).or_else(|| time::rfc3339(&cell.text));
        Ok(match parsed {
            Some(time) => Ok(Content::Arrival(time)),
            // The names of the columns.
            None if at_first => Ok(Content::Nothing),
            None => {
                let told = shortened(&cell.text);
                let cause =
                    format!("`{told}` is not a time: neither a plain number nor such as 2026-11-22T16:00:00.25Z");
                Err(Flaw { at: cell.at, cause })
            }
        })
    }
}

/// The fields of a line.
fn cells(line: &[u8]) -> Vec<Cell> {
    let mut reader = csv_core::Reader::new();
    let mut field = vec![0; line.len() + 1];
    let (mut cells, mut read, mut start, mut written) = (Vec::new(), 0, 0, 0);
    loop {
        // An empty input tells the reader that the line has ended.
        let (result, taken, given) = reader.read_field(&line[read..], &mut field[written..]);
        (read, written) = (read + taken, written + given);
        match result {
            ReadFieldResult::InputEmpty => {}
            ReadFieldResult::Field { .. } => {
                cells.push(Cell { at: start, text: String::from_utf8_lossy(&field[..written]).into_owned() });
                (start, written) = (read, 0);
            }
            // The field cannot be longer than the line.
            ReadFieldResult::OutputFull | ReadFieldResult::End => return cells,
        }
    }
}
