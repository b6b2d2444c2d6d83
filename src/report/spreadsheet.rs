//! Tables for a spreadsheet or a notebook: CSV whose numbers hold what was measured and no binary noise. What is not known
//! is an empty field.

/// A table in the making.
pub(super) struct Spreadsheet {
    writer: csv::Writer<Vec<u8>>,
}

impl Spreadsheet {
    /// A table with its head.
    pub(super) fn new(columns: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Self, csv::Error> {
        let mut table = Self { writer: csv::Writer::from_writer(Vec::new()) };
        table.row(columns)?;
        Ok(table)
    }

    /// Adds a row, which has a field for each column.
    pub(super) fn row(&mut self, fields: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<(), csv::Error> {
        self.writer.write_record(fields)
    }

    /// The whole table.
    pub(super) fn finish(self) -> Result<Vec<u8>, csv::Error> {
        self.writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
    }
}

/// A number to nine places.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number that may not be known.
pub(super) fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_were_measured() {
        assert_eq!([number(0.1 + 0.2), number(100.0), number(0.0)], ["0.3", "100", "0"]);
        assert_eq!([optional(None), optional(Some(2.5))], ["", "2.5"]);
    }

    #[test]
    fn a_row_that_lacks_a_field_is_refused() {
        let mut table = Spreadsheet::new(["a", "b"]).unwrap();
        table.row(["1", "2, 3"]).unwrap();
        assert_eq!(table.finish().unwrap(), b"a,b\n1,\"2, 3\"\n");
        assert!(Spreadsheet::new(["a", "b"]).unwrap().row(["4"]).is_err());
    }
}
