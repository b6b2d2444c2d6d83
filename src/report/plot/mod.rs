//! The plots: each is first a [`Picture`], a list of shapes without a backend, then painted as SVG or PNG.

mod axis;
mod label;
mod picture;
mod sweep;
mod timeline;
mod trade_off;

pub(super) use picture::PlotError;

/// What plots of other reports are made of.
pub(super) mod shapes {
    pub(in crate::report) use super::axis::{Axis, Panel, draw_horizontal, draw_vertical};
    pub(in crate::report) use super::picture::{Anchor, Face, Ink, Picture, Point, Shape, width_of};
}

use super::document::Block;
use super::facts;
use crate::trial::Study;
use picture::Picture;
use std::path::Path;

/// Which plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Response time against cost.
    TradeOff,
    /// Response time and billable time against max concurrency.
    Sweep,
    /// The trials of the chosen candidate over time.
    Timeline,
}

/// A plot as SVG, ready to stand in a page or a file.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    /// Which.
    pub(super) kind: Kind,
    /// Stem of its file name.
    pub(super) stem: &'static str,
    /// The SVG element.
    pub(super) svg: String,
}

const KINDS: [Kind; 3] = [Kind::TradeOff, Kind::Sweep, Kind::Timeline];

impl Kind {
    fn stem(self) -> &'static str {
        match self {
            Self::TradeOff => "response-time-against-cost",
            Self::Sweep => "response-time-and-billable-time",
            Self::Timeline => "timeline",
        }
    }

    /// The picture; none when the study holds nothing to show in it.
    fn picture(self, study: &Study) -> Option<Picture> {
        match self {
            Self::TradeOff => trade_off::picture(study),
            Self::Sweep => sweep::picture(study),
            Self::Timeline => timeline::picture(study),
        }
    }

    fn caption(self, study: &Study) -> String {
        match self {
            Self::TradeOff => "Response time against cost. Down and to the left is better. The large mark of a candidate is \
                 its mean p95, the whisker reaches from its p50 to its p99, small dots are the p95 of single trials; the \
                 line is the frontier. The axes do not start at zero."
                .to_owned(),
            Self::Sweep => "Response time and billable instance time against max concurrency. Lines and bars are means over \
                 valid trials, dots are single trials."
                .to_owned(),
            Self::Timeline => format!(
                "The trials of max concurrency {} over time; the first valid trial is drawn strong, others faint. Response \
                 times are those of the requests due at that moment, so a stall shows where it began. Grey ground is \
                 warm-up.",
                facts::close_up(study).map_or_else(|| "–".to_owned(), |candidate| candidate.max_concurrency.to_string())
            ),
        }
    }

    fn alt(self, study: &Study) -> String {
        let rows: Vec<String> = facts::standings(study)
            .iter()
            .filter(|standing| standing.trials_valid > 0)
            .map(|standing| {
                format!(
                    "max concurrency {}: p50 {}, p95 {}, p99 {}, {} {}",
                    standing.candidate.max_concurrency,
                    super::number::milliseconds(standing.response_time_p50_ms),
                    super::number::milliseconds(standing.response_time_p95_ms),
                    super::number::milliseconds(standing.response_time_p99_ms),
                    super::number::money(facts::cost(study, standing)),
                    study.scenario.objective().unit()
                )
            })
            .collect();
        match self {
            Self::TradeOff => format!("Plot of response time against cost. {}.", rows.join("; ")),
            Self::Sweep => format!("Plot of response time and billable time against max concurrency. {}.", rows.join("; ")),
            Self::Timeline if study.scenario.system.is_some() => {
                "Plots over time: offered and achieved rate; response time p50 and p95; delivery time p95 and backlog of each \
                 consumer; active and idle instances of each service."
                    .to_owned()
            }
            Self::Timeline => {
                "Three plots over time: offered and achieved rate; response time p50 and p95; active and idle instances."
                    .to_owned()
            }
        }
    }
}

/// The block that shows a plot, if there is anything to show.
pub(super) fn figure(study: &Study, kind: Kind) -> Option<Block> {
    kind.picture(study)?;
    Some(Block::Figure { stem: kind.stem().to_owned(), alt: kind.alt(study), caption: kind.caption(study) })
}

/// Every plot of the study as SVG.
pub(super) fn all(study: &Study) -> Result<Vec<Plot>, PlotError> {
    KINDS
        .into_iter()
        .filter_map(|kind| kind.picture(study).map(|picture| (kind, picture)))
        .map(|(kind, picture)| Ok(Plot { kind, stem: kind.stem(), svg: picture.svg(&kind.alt(study))? }))
        .collect()
}

/// Paints a plot as PNG into a file whose name must end in `.png`.
pub(super) fn save_png(study: &Study, kind: Kind, path: &Path) -> Result<(), PlotError> {
    kind.picture(study).map_or(Ok(()), |picture| picture.save_png(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn every_plot_is_well_formed_svg_with_text_as_text() {
        for study in fixture::all() {
            for plot in all(&study).unwrap() {
                let document = roxmltree::Document::parse(&plot.svg).unwrap();
                assert_eq!(document.root_element().tag_name().name(), "svg");
                let count = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count();
                let texts = document.descendants().filter(|node| node.tag_name().name() == "text");
                assert!(texts.count() > 5, "{}", plot.stem);
                let _ = count;
                for node in document.descendants() {
                    if let Some(family) = node.attribute("font-family") {
                        assert_eq!(family, "sans-serif");
                    }
                }
            }
        }
    }

    #[test]
    fn a_study_without_trials_has_no_plots() {
        let mut study = fixture::unfinished_study();
        study.trials.clear();
        assert!(all(&study).unwrap().is_empty());
        assert_eq!(figure(&study, Kind::TradeOff), None);
    }

    #[test]
    fn pictures_in_png_are_not_blank() {
        let folder = tempfile::tempdir().unwrap();
        for kind in KINDS {
            let path = folder.path().join("plot.png");
            save_png(&fixture::study(), kind, &path).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
            let image = image::load_from_memory(&bytes).unwrap().to_rgb8();
            let colours: std::collections::BTreeSet<_> = image.pixels().map(|pixel| pixel.0).collect();
            assert!(colours.len() > 50, "{kind:?} has only {} colours", colours.len());
        }
    }
}
