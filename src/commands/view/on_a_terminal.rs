//! The view on a real pseudo-terminal when the program panics: this test binary starts itself under `script`.
#![cfg(unix)]

use super::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Not a test of its own: what runs on the terminal.
#[test]
#[ignore = "run on a terminal of its own by the test below"]
fn panics_while_the_view_is_on() {
    let view = View::start("title", "target").expect("this is a terminal of our own");
    let thread = std::thread::spawn(|| panic!("out of the blue"));
    assert!(thread.join().is_err());
    // Nothing is drawn on the terminal that was given back.
    while view.is_on() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!is_raw_mode_enabled().unwrap());
    drop(view);
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    if !Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "script (util-linux) is required");
        // Not by a macro: what those print is hidden unless the test fails.
        let _ = writeln!(std::io::stderr(), "skipped: script (util-linux) is not installed");
        return;
    }
    let actor = "commands::view::on_a_terminal::panics_while_the_view_is_on --exact --ignored --nocapture";
    let program = std::env::current_exe().unwrap();
    let shell = format!("stty rows 24 cols 100; stty -g; '{}' {actor}; echo \"ended $?\"; stty -g", program.display());
    let mut script = Command::new("script")
        .env("TERM", "xterm-256color")
        .args(["-qfec", &shell, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Open until the end: its end would be a key.
    let input = script.stdin.take();
    let output = script.wait_with_output().unwrap();
    drop(input);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("ended 0"), "{shown}");
    let last = |what: &str| shown.rfind(what);
    assert!(last("\x1b[?1049h").is_some() && last("\x1b[?1049l") > last("\x1b[?1049h"), "{shown:?}");
    assert!(last("\x1b[?25h") > last("\x1b[?25l"), "{shown:?}");
    // A panic that is told on the other screen is lost with it.
    assert!(last("out of the blue") > last("\x1b[?1049l"), "{shown:?}");
    let state = |line: &&str| {
        line.matches(':').count() > 10 && line.chars().all(|letter| letter == ':' || letter.is_ascii_hexdigit())
    };
    let states: Vec<&str> = shown.lines().map(str::trim).filter(state).collect();
    assert!(states.len() == 2 && states[0] == states[1], "{states:?} in {shown:?}");
}
