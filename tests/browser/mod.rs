//! A report in a real browser: Chromium without a window, as a reader of the page would see it.

use serde::Deserialize;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What the browser's window measures.
const WINDOW: (u32, u32) = (1280, 800);
/// Looks, a tenth of a second apart, until a browser that hangs is ended.
const LOOKS_MAX: u32 = 600;

/// Where the program is. Without it the test is skipped, unless the environment says that everything real must be here.
pub(crate) fn require_real(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "{program} is required, and is not installed");
        // Not by a macro: what those print is hidden unless the test fails.
        let _ = writeln!(std::io::stderr(), "skipped: {program} is not installed");
    }
    found
}

/// What a page's own geometry is, in pixels.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    window_height: f64,
    headline: String,
    /// Left, top, right, bottom.
    headline_box: [f64; 4],
    /// The bottoms of the first screen's reason, figures, command line, and table above a picture, as far as there are any.
    bottoms: Vec<f64>,
    /// The middle of the first screen's picture, if it has one.
    picture_middle: Option<f64>,
    /// Texts of the first screen's picture that lie over each other.
    overlaps: Vec<String>,
    page_width: f64,
    /// Width, height, and texts with an extent, of every plot.
    plots: Vec<(f64, f64, usize)>,
    /// Everything that was fetched besides the page.
    fetched: Vec<String>,
    errors: Vec<String>,
}

/// Put at the beginning of the page's head: it sees what goes wrong from then on.
const WATCH: &str =
    "<script>var errors=[];addEventListener('error',e=>errors.push(e.message||e.target.outerHTML),true)</script>";
/// Put at the end of the page's body: when all is loaded it measures, and says so on the console.
const MEASURE: &str = r"<script>
addEventListener('load', () => {
const box = element => { const r = element.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
const all = (element, query) => [...element.querySelectorAll(query)];
const layout = {
  window_height: innerHeight,
  headline: document.querySelector('h1').textContent,
  headline_box: box(document.querySelector('h1')),
  bottoms: all(document,
    'header .reason, header .figures, header .command, header:has(figure) .table',
  ).map(element => box(element)[3]),
  picture_middle: all(document, 'header figure svg').map(svg => (box(svg)[1] + box(svg)[3]) / 2)[0] ?? null,
  overlaps: all(document, 'header svg text').flatMap((one, place, texts) => texts.slice(place + 1)
    .filter(other => { const [a, b] = [box(one), box(other)];
      return Math.min(a[2], b[2]) - Math.max(a[0], b[0]) > 1 && Math.min(a[3], b[3]) - Math.max(a[1], b[1]) > 3; })
    .map(other => one.textContent + ' / ' + other.textContent)),
  page_width: document.documentElement.scrollWidth,
  plots: all(document, 'svg').map(svg => [
    svg.getBoundingClientRect().width, svg.getBoundingClientRect().height,
    all(svg, 'text').filter(text => text.getBoundingClientRect().width > 0).length,
  ]),
  fetched: performance.getEntriesByType('resource').map(entry => entry.name),
  errors,
};
const pre = document.createElement('pre');
pre.id = 'layout';
pre.textContent = JSON.stringify(layout);
document.body.append(pre);
console.log('measured');
});
</script>";

/// Opens the page and holds it against what a report promises: the headline on the first screen, every plot drawn,
/// nothing fetched, no error, a picture of it that shows something. It has this many plots.
pub(crate) fn check_report(chromium: &Path, page: &Path, headline: &str, plots: usize) {
    let dir = tempfile::tempdir().unwrap();
    let html = fs::read_to_string(page).unwrap();
    let (layout, console) = measure(chromium, dir.path(), &html);
    // The one line that the measurement itself writes: lines are seen, and there is no other.
    assert!(console.len() == 1 && console[0].contains("measured"), "on the console: {console:#?}");
    assert_eq!(html.matches("<svg").count(), plots);
    check_layout(&layout, plots, headline);

    let picture = dir.path().join("page.png");
    let (_, console) = open(chromium, dir.path(), &format!("--screenshot={}", picture.display()), page);
    assert_eq!(console, Vec::<String>::new(), "the page as it is says nothing on the console");
    check_picture(&picture);
}

/// Opens a copy of the page that measures itself; gives back what it found, and the lines on the console.
fn measure(chromium: &Path, dir: &Path, html: &str) -> (Layout, Vec<String>) {
    let watched = html.replacen("<head>", &format!("<head>{WATCH}"), 1);
    let measured = watched.replacen("</body>", &format!("{MEASURE}</body>"), 1);
    let copy = dir.join("measured.html");
    fs::write(&copy, measured).unwrap();
    let (dom, console) = open(chromium, dir, "--dump-dom", &copy);
    (serde_json::from_str(&between(&dom, "<pre id=\"layout\">", "</pre>")).unwrap(), console)
}

fn check_layout(layout: &Layout, plots: usize, headline: &str) {
    assert_eq!(layout.headline, headline);
    let [left, top, right, bottom] = layout.headline_box;
    let first_screen = layout.window_height;
    assert!(left >= 0.0 && top >= 0.0 && right > left + 100.0 && bottom > top + 10.0, "{layout:?}");
    assert!(bottom < first_screen && layout.page_width <= f64::from(WINDOW.0), "{layout:?}");
    assert!(layout.bottoms.iter().all(|bottom| *bottom > 0.0 && *bottom < first_screen), "below the fold: {layout:?}");
    assert!(
        layout.picture_middle.is_none_or(|middle| middle < first_screen),
        "most of it is below the fold: {layout:?}"
    );
    assert!(layout.overlaps.is_empty(), "one text hides another: {layout:?}");
    assert!(layout.plots.len() == plots, "{plots} plots are written: {layout:?}");
    for (width, height, texts) in &layout.plots {
        assert!(*width > 300.0 && *height > 150.0 && *texts > 5, "a plot is not laid out: {layout:?}");
    }
    assert!(layout.fetched.is_empty() && layout.errors.is_empty(), "{layout:?}");
}

fn check_picture(picture: &Path) {
    let picture = image::open(picture).unwrap().to_rgb8();
    assert_eq!(picture.width(), WINDOW.0);
    let mut colours = std::collections::BTreeMap::new();
    for pixel in picture.pixels() {
        *colours.entry(pixel.0).or_insert(0_u32) += 1;
    }
    let most = colours.values().max().unwrap();
    let all = picture.width() * picture.height();
    // Letters have many shades at their edges; a blank page has one colour.
    assert!(colours.len() > 50 && most * 20 < all * 19, "{} colours, {most} of {all} pixels the same", colours.len());
}

/// Runs the browser once; returns its standard output and what pages wrote on the console.
fn open(chromium: &Path, dir: &Path, what: &str, page: &Path) -> (String, Vec<String>) {
    let (out, log) = (dir.join("out"), dir.join("log"));
    let mut child = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"])
        .args([format!("--user-data-dir={}", dir.join("profile").display())])
        .args([format!("--window-size={},{}", WINDOW.0, WINDOW.1)])
        .args(["--enable-logging=stderr", what])
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        // A file takes any amount without a reader.
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut ended = None;
    for _ in 0..LOOKS_MAX {
        ended = child.try_wait().unwrap();
        if ended.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let log = String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
    let Some(status) = ended else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("the browser hangs: {log}");
    };
    assert!(status.success(), "{status}: {log}");
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    (String::from_utf8_lossy(&fs::read(&out).unwrap()).into_owned(), console)
}

/// The text between two marks of a page, as a reader sees it.
fn between(page: &str, from: &str, to: &str) -> String {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("no {from} in {page}"));
    let (text, _) = rest.split_once(to).unwrap();
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[test]
fn what_goes_wrong_on_a_page_is_seen() {
    let _turn = super::alone();
    let Some(chromium) = require_real("chromium") else { return };
    let dir = tempfile::tempdir().unwrap();
    let broken = "<!DOCTYPE html><html><head></head><body><header><h1>Alone</h1><svg><text y=20>mine</text>\
                  <text y=22>yours</text></svg></header><img src=missing.png><script>throw new Error('mine')</script></body></html>";
    let (layout, console) = measure(&chromium, dir.path(), broken);
    assert!(console.iter().any(|line| line.contains("mine")), "{console:#?}");
    assert_eq!(layout.overlaps, ["mine / yours"]);
    for said in ["mine", "missing.png"] {
        assert!(layout.errors.iter().any(|error| error.contains(said)), "{said}: {layout:?}");
    }
    let (page, picture) = (dir.path().join("measured.html"), dir.path().join("page.png"));
    open(&chromium, dir.path(), &format!("--screenshot={}", picture.display()), &page);
    assert!(std::panic::catch_unwind(|| check_picture(&picture)).is_err(), "a page that is all but blank passes");
}
