//! Comma-separated values with a column of times. Each line is a record: a record that goes on over several lines is no
//! time, and would let a single stray quote swallow the file.

use super::requests::Told;
use super::{Column, Content, Flaw, LogError, LogOptions, RequestOptions, TimeUnit, shortened, time};
use csv_core::ReadFieldResult;

/// Reads record by record.
pub(super) struct Reader {
    /// Where the times are, and of requests the paths, the methods and the user agents, as far as they are asked for.
    columns: [Option<Wanted>; 4],
    unit: TimeUnit,
    /// Whether no line has been read.
    at_first: bool,
    requests: bool,
}

/// A column.
struct Wanted {
    /// What is in it.
    noun: &'static str,
    column: Column,
}

/// A field and where it begins, in bytes.
struct Cell {
    at: usize,
    text: String,
}

impl Reader {
    pub(super) fn new(options: &LogOptions) -> Self {
        let requests = options.requests.as_ref();
        let wanted =
            |noun: &'static str, column: Option<&Column>| column.cloned().map(|column| Wanted { noun, column });
        let of_request = |noun: &'static str, column: fn(&RequestOptions) -> Option<&Column>| {
            wanted(noun, requests.and_then(column))
        };
        Self {
            columns: [
                wanted("times", Some(&options.column)),
                of_request("paths", |requests| requests.path.as_ref()),
                of_request("methods", |requests| requests.method.as_ref()),
                of_request("user agents", |requests| requests.agent.as_ref()),
            ],
            unit: options.unit,
            at_first: true,
            requests: requests.is_some(),
        }
    }

    /// The arrival of a line. The outer error is that of the log as a whole.
    pub(super) fn arrival(&mut self, line: &[u8]) -> Result<Result<Content, Flaw>, LogError> {
        let at_first = std::mem::take(&mut self.at_first);
        let cells = cells(line);
        if at_first && self.find_columns(&cells)? {
            return Ok(Ok(Content::Nothing));
        }
        Ok(self.read(&cells).or_else(|flaw| match flaw {
            // The names of the columns.
            NotRead::NoTime(_) if at_first => Ok(Content::Nothing),
            NotRead::NoTime(flaw) | NotRead::Short(flaw) => Err(flaw),
        }))
    }

    /// Finds the columns that go by their names in the first line; whether there are any.
    fn find_columns(&mut self, cells: &[Cell]) -> Result<bool, LogError> {
        let mut any = false;
        for Wanted { column, .. } in self.columns.iter_mut().flatten() {
            let Column::Name(name) = column else { continue };
            let names = || cells.iter().map(|cell| cell.text.trim());
            let Some(number) = names().position(|other| other == name.as_str()) else {
                let columns = names().map(str::to_owned).collect();
                return Err(LogError::NoColumn { name: std::mem::take(name), columns });
            };
            *column = Column::Number(number);
            any = true;
        }
        Ok(any)
    }

    fn read(&self, cells: &[Cell]) -> Result<Content, NotRead> {
        let [time, path, method, agent] = self.columns.each_ref().map(|wanted| cell(wanted.as_ref(), cells));
        let Some(time) = time? else { return Ok(Content::Nothing) };
        let parsed = time::number(&time.text, self.unit).or_else(|| time::rfc3339(&time.text));
        let parsed = parsed.ok_or_else(|| {
            let told = shortened(&time.text);
            let cause = format!("`{told}` is not a time: neither a plain number nor such as 2026-11-22T16:00:00.25Z");
            NotRead::NoTime(Flaw { at: time.at, cause })
        })?;
        let text = |cell: Option<&Cell>| cell.map_or_else(Vec::new, |cell| cell.text.trim().as_bytes().to_vec());
        let (path, method, agent) = (path?, method?, agent?);
        let told = Told {
            method: method.map_or_else(|| b"GET".to_vec(), |method| text(Some(method))),
            target: text(path),
            agent: text(agent),
        };
        Ok(Content::Arrival(parsed, self.requests.then_some(told)))
    }
}

/// Why a line is none of the log's.
enum NotRead {
    /// What should be a time is none.
    NoTime(Flaw),
    /// It ends before a column that is asked for.
    Short(Flaw),
}

/// The cell of a column that is asked for.
fn cell<'a>(wanted: Option<&Wanted>, cells: &'a [Cell]) -> Result<Option<&'a Cell>, NotRead> {
    let Some(Wanted { noun, column: Column::Number(number) }) = wanted else { return Ok(None) };
    let short = || {
        let columns = if cells.len() == 1 { "column" } else { "columns" };
        let cause = format!("this line has {} {columns}, and the {noun} are in number {}", cells.len(), number + 1);
        NotRead::Short(Flaw { at: 0, cause })
    };
    cells.get(*number).map(Some).ok_or_else(short)
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
