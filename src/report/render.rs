//! Writes every file of a report, each as a whole: a reader never sees half a file, and a full disk leaves the old one.

use super::headline::Headline;
use super::{content, html, markdown, plot, trials_csv};
use crate::trial::Study;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The page to open: `index.html`.
    pub page: PathBuf,
    /// `report.md`.
    pub markdown: PathBuf,
    /// `trials.csv`.
    pub trials: PathBuf,
    /// The plots, each as SVG and PNG.
    pub plots: Vec<PathBuf>,
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file.
    #[error("failed to write {path:?}: {source}; the record itself is saved, and its report can be rendered again")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A plot.
    #[error("{0}; the record itself is saved")]
    Plot(String),
    /// A table in CSV.
    #[error("failed to write a table: {0}")]
    Table(#[from] csv::Error),
}

/// Name of the page in the folder of a study or a run.
pub const PAGE: &str = "index.html";
/// Name of the report as text there.
pub(super) const MARKDOWN: &str = "report.md";

/// Writes `index.html`, `report.md`, `trials.csv` and the plots of `study` into `dir`, which is created if need be.
/// The same study always gives the same bytes.
///
/// # Errors
/// When a file cannot be written. What was there before then is still whole.
pub fn render(study: &Study, dir: &Path) -> Result<Rendered, ReportError> {
    std::fs::create_dir_all(dir).map_err(|source| ReportError::Write { path: dir.to_owned(), source })?;
    let plots = plot::all(study).map_err(|error| ReportError::Plot(error.to_string()))?;
    let headline = Headline::of(study);
    let sections = content::sections(study);
    let mut painted = Vec::new();
    for plot in &plots {
        painted.push(write(dir, &format!("{}.svg", plot.stem), plot.svg.as_bytes())?);
        painted.push(paint(dir, plot.stem, |path| plot::save_png(study, plot.kind, path))?);
    }
    Ok(Rendered {
        trials: write(dir, "trials.csv", &trials_csv::render(study)?)?,
        markdown: write(dir, MARKDOWN, markdown::render(study, &headline, &sections).as_bytes())?,
        page: write(dir, PAGE, html::render(study, &headline, &sections, &plots).as_bytes())?,
        plots: painted,
    })
}

pub(super) fn write(dir: &Path, name: &str, content: &[u8]) -> Result<PathBuf, ReportError> {
    let path = dir.join(name);
    let part = beside(&path, "part");
    let written = File::create(&part)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&part, &path));
    finish(written, &part, path)
}

pub(super) fn paint(
    dir: &Path,
    stem: &str,
    save_png: impl FnOnce(&Path) -> Result<(), plot::PlotError>,
) -> Result<PathBuf, ReportError> {
    let path = dir.join(format!("{stem}.png"));
    // The painter knows the format by the end of the name.
    let part = beside(&path, "part.png");
    if let Err(error) = save_png(&part) {
        let _ = std::fs::remove_file(&part);
        return Err(ReportError::Plot(error.to_string()));
    }
    let written = File::open(&part).and_then(|file| file.sync_all()).and_then(|()| std::fs::rename(&part, &path));
    finish(written, &part, path)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn finish(written: io::Result<()>, part: &Path, path: PathBuf) -> Result<PathBuf, ReportError> {
    match written {
        Ok(()) => Ok(path),
        Err(source) => {
            // What is half written helps nobody; that it cannot be removed either changes nothing.
            let _ = std::fs::remove_file(part);
            Err(ReportError::Write { path, source })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use std::collections::BTreeMap;

    fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
        std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
            .collect()
    }

    #[test]
    fn the_same_study_gives_the_same_bytes_and_leaves_nothing_else_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("deep/first"), folder.path().join("second"));
        let rendered = render(&fixture::study(), &first).unwrap();
        std::fs::create_dir_all(&second).unwrap();
        std::fs::write(second.join("index.html"), "an older report").unwrap();
        render(&fixture::study(), &second).unwrap();
        assert_eq!(files(&first), files(&second));
        let names: Vec<_> = files(&first).into_keys().collect();
        assert_eq!(
            names,
            [
                "index.html",
                "report.md",
                "response-time-against-cost.png",
                "response-time-against-cost.svg",
                "response-time-and-billable-time.png",
                "response-time-and-billable-time.svg",
                "timeline.png",
                "timeline.svg",
                "trials.csv"
            ]
        );
        assert!(rendered.page.is_file() && rendered.markdown.is_file() && rendered.trials.is_file());
        assert_eq!(rendered.plots.len(), 6);
    }

    #[test]
    fn no_file_of_a_report_holds_a_value_that_may_be_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let mut study = fixture::study();
        let service = study.scenario.service.as_mut().unwrap();
        service.env.insert("PAYMENT_TOKEN".to_owned(), "hunter2".to_owned());
        render(&study, folder.path()).unwrap();
        for (name, bytes) in files(folder.path()) {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("hunter2"), "{name} holds the value");
            if name == "index.html" {
                assert!(text.contains("PAYMENT_TOKEN"), "its name is part of the conditions");
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("taken");
        std::fs::write(&file, "").unwrap();
        let error = render(&fixture::study(), &file.join("report")).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
    }
}
