//! What the live view shows, as a picture of a state: it knows no terminal and no clock.

use crate::driver::Progress as Load;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Borders, Chart, Dataset, Gauge, GraphType, Paragraph, Sparkline, Wrap};
use std::collections::VecDeque;
use std::time::Duration;

/// Readings that the chart reaches back: a minute of four a second.
const READINGS: usize = 240;
/// A terminal smaller than this gets the figures alone.
const COLUMNS_MIN: u16 = 60;
const ROWS_MIN: u16 = 14;
/// The histogram beside the chart.
const HISTOGRAM_COLUMNS: u16 = 36;

/// The state of the view.
#[derive(Clone, Debug, Default)]
pub(super) struct Screen {
    title: String,
    target: String,
    /// The last thing that was said.
    pub(super) note: String,
    colours: bool,
    load: Load,
    /// Seconds since the start of the load, offered and achieved rate.
    rates: VecDeque<(f64, f64, f64)>,
}

impl Screen {
    /// Before the load begins.
    pub(super) fn new(title: &str, target: &str, colours: bool) -> Self {
        Self { title: title.to_owned(), target: target.to_owned(), colours, ..Self::default() }
    }

    /// Takes in how the load is doing.
    pub(super) fn take(&mut self, load: &Load) {
        self.rates.push_back((load.elapsed.as_secs_f64(), load.offered_rate, load.achieved_rate));
        if self.rates.len() > READINGS {
            self.rates.pop_front();
        }
        self.load = load.clone();
    }

    /// Draws all of it.
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width < COLUMNS_MIN || area.height < ROWS_MIN {
            let mut lines = vec![self.headline(), self.remaining()];
            lines.extend(self.figures());
            lines.push(self.footer());
            return frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
        }
        let [head, gauge, middle, figures, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(6),
            Constraint::Length(4),
            Constraint::Length(1),
        ])
        .areas(area);
        frame.render_widget(self.headline(), head);
        self.draw_gauge(frame, gauge);
        let [rates, histogram] =
            Layout::horizontal([Constraint::Min(24), Constraint::Length(HISTOGRAM_COLUMNS)]).areas(middle);
        self.draw_rates(frame, rates);
        self.draw_histogram(frame, histogram);
        frame.render_widget(Paragraph::new(self.figures()), figures);
        frame.render_widget(self.footer(), foot);
    }

    fn style(&self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn bold(&self) -> Style {
        if self.colours { Style::new().bold() } else { Style::new() }
    }

    fn headline(&self) -> Line<'_> {
        Line::from(vec![Span::styled(self.title.as_str(), self.bold()), Span::raw(" on "), Span::raw(&self.target)])
    }

    fn remaining(&self) -> Line<'_> {
        let Load { elapsed, total, stage, .. } = &self.load;
        if total.is_zero() {
            return Line::from("setting up");
        }
        let left = |end: Duration| end.saturating_sub(*elapsed).as_secs_f64().ceil();
        let on = match stage {
            Some((name, end)) => format!("stage {name}, {:.0} s left", left(*end)),
            None => "awaiting the last answers".to_owned(),
        };
        Line::from(format!(
            "{:.0}/{:.0} s, {:.0} s to go: {on}",
            elapsed.as_secs_f64(),
            total.as_secs_f64(),
            left(*total)
        ))
    }

    fn draw_gauge(&self, frame: &mut Frame<'_>, area: Rect) {
        let Load { elapsed, total, .. } = &self.load;
        let share = if total.is_zero() { 0.0 } else { elapsed.as_secs_f64() / total.as_secs_f64() };
        let label = self.remaining().to_string();
        let gauge = Gauge::default().ratio(share.clamp(0.0, 1.0)).label(label).gauge_style(self.style(Color::Blue));
        frame.render_widget(gauge, area);
    }

    fn draw_rates(&self, frame: &mut Frame<'_>, area: Rect) {
        let points = |of: fn(&(f64, f64, f64)) -> f64| -> Vec<(f64, f64)> {
            self.rates.iter().map(|reading| (reading.0, of(reading))).collect()
        };
        let (offered, achieved) = (points(|reading| reading.1), points(|reading| reading.2));
        let highest = offered.iter().chain(&achieved).map(|point| point.1).fold(1.0, f64::max);
        let last = self.rates.back().map_or(0.0, |reading| reading.0);
        let first = self.rates.front().map_or(0.0, |reading| reading.0).min(last - 1.0);
        let line = |name: &'static str, data, marker, colour| {
            Dataset::default()
                .name(name)
                .data(data)
                .marker(marker)
                .graph_type(GraphType::Line)
                .style(self.style(colour))
        };
        let datasets = vec![
            line("offered", &offered, Marker::Dot, Color::Yellow),
            line("achieved", &achieved, Marker::Braille, Color::Green),
        ];
        let x_axis = Axis::default()
            .bounds([first, last])
            .labels([format!("{:.0} s ago", last - first), "now".to_owned()])
            .labels_alignment(Alignment::Right);
        let y_axis = Axis::default().bounds([0.0, highest * 1.05]).labels(["0".to_owned(), format!("{highest:.0}")]);
        let block = Block::new().borders(Borders::TOP).title(" requests/s: offered •, achieved ⠒ ");
        frame
            .render_widget(Chart::new(datasets).block(block).x_axis(x_axis).y_axis(y_axis).legend_position(None), area);
    }

    fn draw_histogram(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::new().borders(Borders::TOP | Borders::LEFT).title(" response times of the last 3 s ");
        let inside = block.inner(area);
        frame.render_widget(block, area);
        let bars = &self.load.histogram;
        let (Some((first, _)), Some((last, _))) = (bars.first(), bars.last()) else { return };
        let [picture, labels] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(inside);
        // Each bar as wide as there is room for; too many of them show their upper end.
        let room = usize::from(inside.width.max(1));
        let wide = (room / bars.len()).clamp(1, 3);
        let shown = &bars[bars.len().saturating_sub(room)..];
        let columns: Vec<u64> = shown.iter().flat_map(|(_, count)| std::iter::repeat_n(*count, wide)).collect();
        let width = u16::try_from(columns.len()).unwrap_or(picture.width);
        frame.render_widget(Sparkline::default().data(&columns).style(self.style(Color::Cyan)), picture);
        let label = format!("≤ {}", time(*first));
        frame.render_widget(Line::from(label), labels);
        if bars.len() > 1 {
            let end = Rect { width: width.max(24).min(labels.width), ..labels };
            frame.render_widget(Line::from(format!("≤ {}", time(*last))).alignment(Alignment::Right), end);
        }
    }

    fn figures(&self) -> Vec<Line<'_>> {
        let load = &self.load;
        let ended = load.completed + load.failed;
        let failed = if load.failed == 0 {
            Span::raw("failed 0")
        } else {
            let share = 100.0 * load.failed as f64 / ended as f64;
            Span::styled(format!("failed {} ({share:.2} %)", load.failed), self.style(Color::Red))
        };
        let waiting = format!("waiting for room {}, blocked so far {}", load.waiting, load.blocked);
        vec![
            Line::from(format!(
                "offered {:.0}/s  achieved {:.0}/s  in flight {}",
                load.offered_rate, load.achieved_rate, load.in_flight
            )),
            Line::from(format!(
                "response time p50 {}  p90 {}  p99 {}",
                time(load.response_time_p50),
                time(load.response_time_p90),
                time(load.response_time_p99)
            )),
            Line::from(vec![Span::raw(format!("completed {}  ", load.completed)), failed]),
            Line::from(format!("{waiting}; lateness p99 {}", time(load.lateness_p99))),
        ]
    }

    fn footer(&self) -> Line<'_> {
        if self.note.is_empty() {
            Line::styled("q or Ctrl-C stops and reports", self.style(Color::DarkGray))
        } else {
            Line::styled(self.note.as_str(), self.style(Color::Yellow))
        }
    }
}

/// In the unit that fits.
fn time(duration: Duration) -> String {
    match duration.as_secs_f64() * 1e3 {
        ms if ms >= 10_000.0 => format!("{:.1} s", ms / 1e3),
        ms if ms >= 100.0 => format!("{ms:.0} ms"),
        ms if ms >= 1.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.2} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    const MS: Duration = Duration::from_millis(1);

    /// Half a minute into a run whose service falls behind at 20 s.
    fn screen() -> Screen {
        let mut screen =
            Screen { title: "shopping".to_owned(), target: "http://127.0.0.1:8080".to_owned(), ..Screen::default() };
        for quarter in 0..120 {
            let elapsed = quarter * 250 * MS;
            let offered_rate = 200.0 + f64::from(quarter);
            screen.take(&Load {
                elapsed,
                total: Duration::from_secs(72),
                stage: Some(("sale".to_owned(), Duration::from_secs(40))),
                offered_rate,
                achieved_rate: offered_rate.min(280.0),
                response_time_p50: 12 * MS,
                response_time_p90: 340 * MS,
                response_time_p99: 12_345 * MS,
                histogram: [(10, 40), (15, 90), (20, 30), (30, 12), (50, 3), (70, 0), (100, 1)]
                    .map(|(ms, count)| (ms * MS, count))
                    .to_vec(),
                lateness_p99: MS / 40,
                in_flight: 48,
                waiting: 17,
                blocked: 230,
                completed: 7200,
                failed: 18,
            });
        }
        screen
    }

    fn picture(screen: &Screen, columns: u16, rows: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_run_in_its_middle_looks_so() {
        insta::assert_snapshot!(picture(&screen(), 100, 24));
    }

    #[test]
    fn a_narrow_or_low_terminal_gets_the_figures_alone() {
        let mut screen = screen();
        screen.note = "stopping".to_owned();
        insta::assert_snapshot!(format!("{}\n{}", picture(&screen, 40, 14), picture(&screen, 80, 7)));
    }

    #[test]
    fn the_beginning_has_nothing_to_show_yet() {
        let beginning = Screen { title: "shopping".to_owned(), target: "http://[::1]".to_owned(), ..Screen::default() };
        insta::assert_snapshot!(picture(&beginning, 64, 14));
    }

    #[test]
    fn no_size_and_no_state_is_too_small_to_draw() {
        let mut one = Screen::default();
        one.take(&Load { total: MS, failed: 1, histogram: vec![(MS, 1)], ..Load::default() });
        for screen in [Screen::default(), one, screen()] {
            for (columns, rows) in [(1, 1), (2, 40), (200, 1), (60, 14), (61, 15), (300, 80)] {
                let _ = picture(&screen, columns, rows);
            }
        }
    }

    #[test]
    fn without_colours_no_cell_has_one() {
        let styles = |colours: bool| {
            let screen = Screen { colours, ..screen() };
            let mut terminal = Terminal::new(TestBackend::new(100, 24)).unwrap();
            terminal.draw(|frame| screen.draw(frame)).unwrap();
            let coloured = |cell: &&ratatui::buffer::Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
            terminal.backend().buffer().content().iter().filter(coloured).count()
        };
        assert_eq!(styles(false), 0);
        assert!(styles(true) > 50);
    }
}
