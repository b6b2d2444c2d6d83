//! What is asked of exports, as it is typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a run is told besides the terminal.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// Files.
    pub files: Vec<Export>,
    /// Where Prometheus finds the state of the run.
    pub prometheus: Option<SocketAddr>,
    /// The OpenTelemetry collector.
    pub otlp: Option<String>,
}

/// One file in one format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The format.
    pub format: Format,
    /// The file.
    pub path: PathBuf,
}

/// A format that a run is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// The recording as a table.
    Csv,
    /// The recording itself.
    Json,
    /// The percentile spectrum of all requests, or of those of a step.
    Hgrm(Option<String>),
    /// The state of the run at its end, for Prometheus.
    Prometheus,
    /// One JSON object per second.
    Ndjson,
    /// One histogram per second and step.
    Hlog,
}

impl FromStr for Export {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write it as FORMAT=FILE, where FORMAT is csv, json, hgrm, hgrm:STEP, prometheus, ndjson or hlog";
        let (format, path) = text.split_once('=').ok_or_else(|| form.to_owned())?;
        if path.is_empty() {
            return Err(format!("no file is named; {form}"));
        }
        let format = match format {
            "csv" => Format::Csv,
            "json" => Format::Json,
            "hgrm" => Format::Hgrm(None),
            "prometheus" => Format::Prometheus,
            "ndjson" => Format::Ndjson,
            "hlog" => Format::Hlog,
            other => match other.strip_prefix("hgrm:").filter(|step| !step.is_empty()) {
                Some(step) => Format::Hgrm(Some(step.to_owned())),
                None => return Err(format!("there is no format {other:?}; {form}")),
            },
        };
        Ok(Self { format, path: PathBuf::from(path) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_named_and_so_is_its_file() {
        let parse = |text: &str| text.parse::<Export>();
        let hgrm = |step: Option<&str>| Format::Hgrm(step.map(str::to_owned));
        assert_eq!(parse("csv=a=b.csv").unwrap(), Export { format: Format::Csv, path: "a=b.csv".into() });
        assert_eq!(parse("hgrm=x").unwrap().format, hgrm(None));
        assert_eq!(parse("hgrm:check out=x").unwrap().format, hgrm(Some("check out")));
        assert!(parse("xml=x").unwrap_err().contains("no format \"xml\""));
        assert!(parse("csv=").unwrap_err().contains("no file"));
        assert!(parse("csv").is_err() && parse("hgrm:=x").is_err());
    }
}
