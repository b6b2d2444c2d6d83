//! What a report says, apart from how it looks: the same blocks become Markdown and HTML.

/// A piece of running text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// Plain.
    Plain(String),
    /// Stressed.
    Strong(String),
    /// Something to type or a name as written.
    Code(String),
}

/// Running text.
pub(super) type Text = Vec<Span>;

/// What a cell or note tells at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// Kept, trusted.
    Good,
    /// Broken, not to be trusted.
    Bad,
    /// Worth knowing.
    Muted,
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    /// What it says.
    pub(super) text: String,
    /// How.
    pub(super) tone: Tone,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its title, with the unit.
    pub(super) title: String,
    /// True when it holds numbers.
    pub(super) numeric: bool,
}

/// A row of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// One cell for each column.
    pub(super) cells: Vec<Cell>,
    /// True for the row that matters most.
    pub(super) marked: bool,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// What it holds, in a sentence.
    pub(super) caption: String,
    /// Its columns.
    pub(super) columns: Vec<Column>,
    /// Its rows.
    pub(super) rows: Vec<Row>,
}

/// A part of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// A heading of a section (level 2) or of a part of it (level 3).
    Heading(u8, String),
    /// Running text.
    Paragraph(Text),
    /// A list.
    List(Vec<Text>),
    /// A table.
    Table(Table),
    /// A plot, by the stem of its file name.
    Figure {
        /// Stem of the file name.
        stem: String,
        /// What it shows, for those who cannot see it.
        alt: String,
        /// What it shows, for those who can.
        caption: String,
    },
}

impl Cell {
    /// A cell with a tone.
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// A tick or a cross before `text`, so that the verdict does not hang on colour.
    pub(super) fn verdict(kept: bool, text: &str) -> Self {
        let (sign, tone) = if kept { ("✓", Tone::Good) } else { ("✗", Tone::Bad) };
        Self { text: format!("{sign} {text}").trim_end().to_owned(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl From<String> for Span {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl Row {
    /// A row of these cells.
    pub(super) fn of(cells: impl IntoIterator<Item = Cell>) -> Self {
        Self { cells: cells.into_iter().collect(), marked: false }
    }

    /// Marks it, or not.
    pub(super) fn marked(self, marked: bool) -> Self {
        Self { marked, ..self }
    }
}

impl Table {
    /// An empty table. A title that starts with `#` is one of a column of numbers; the sign is not shown.
    pub(super) fn new(caption: impl Into<String>, titles: &[&str]) -> Self {
        let columns = titles
            .iter()
            .map(|title| match title.strip_prefix('#') {
                Some(title) => Column { title: title.to_owned(), numeric: true },
                None => Column { title: (*title).to_owned(), numeric: false },
            })
            .collect();
        Self { caption: caption.into(), columns, rows: Vec::new() }
    }
}

impl Block {
    /// A heading of a section.
    pub(super) fn section(title: &str) -> Self {
        Self::Heading(2, title.to_owned())
    }

    /// A heading within a section.
    pub(super) fn part(title: impl Into<String>) -> Self {
        Self::Heading(3, title.into())
    }

    /// A paragraph without markup.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Paragraph(vec![Span::Plain(text.into())])
    }
}
