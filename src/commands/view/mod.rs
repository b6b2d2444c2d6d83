//! The live view on a terminal: drawn on standard error by a thread of its own, which also reads the keys. Whatever ends
//! the run, the terminal is left as it was found.

#[cfg(test)]
mod on_a_terminal;
mod screen;

use crate::driver::Progress as Load;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, is_raw_mode_enabled,
};
use ratatui::crossterm::{cursor, execute};
use screen::Screen;
use std::io::{IsTerminal as _, Stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a key waits at most, and how often is drawn.
const EVERY: Duration = Duration::from_millis(100);

/// How often is looked, ten times as often as is drawn, whether the view has ended.
const LOOKS_MAX: u32 = 100;

/// A view that is on. Dropping it gives the terminal back.
#[derive(Debug)]
pub(super) struct View {
    screen: Arc<Mutex<Screen>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl View {
    /// Takes the terminal over; `None` when there is none that could be.
    pub(super) fn start(title: &str, target: &str) -> Option<Self> {
        if !is_ours() {
            return None;
        }
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let screen = Arc::new(Mutex::new(Screen::new(title, target, colours)));
        let ended = Arc::new(AtomicBool::new(false));
        let taken = Taken::take().ok()?;
        let (shown, over) = (Arc::clone(&screen), Arc::clone(&ended));
        let show = move || {
            // A terminal that cannot be drawn on any more is no reason to end the run.
            let _ = show(&shown, &over);
            drop(taken);
        };
        let thread = std::thread::Builder::new().name("view".to_owned()).spawn(show).ok()?;
        Some(Self { screen, ended, thread: Some(thread) })
    }

    /// Whether it is still shown: a terminal may be lost, or give no keys.
    pub(super) fn is_on(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Shows how the load is doing.
    pub(super) fn load(&self, load: &Load) {
        lock(&self.screen).take(load);
    }

    /// Shows what is said.
    pub(super) fn note(&self, text: &str) {
        text.clone_into(&mut lock(&self.screen).note);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        let mut looks = 0;
        while !thread.is_finished() && looks < LOOKS_MAX {
            std::thread::sleep(EVERY / 10);
            looks += 1;
        }
        if thread.is_finished() {
            // If it panicked, the terminal has been given back and the panic told.
            let _ = thread.join();
        } else {
            // It may wait for ever for the keys of a terminal that went away; the run has its results to save.
            give_back();
        }
    }
}

/// Whether standard error is a terminal that can be drawn on, and this process the one in front of it: a terminal stops
/// one in the background that changes it.
fn is_ours() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let stderr = std::io::stderr();
    #[cfg(unix)]
    let in_front = rustix::termios::tcgetpgrp(&stderr).is_ok_and(|group| group == rustix::process::getpgrp());
    #[cfg(not(unix))]
    let in_front = true;
    stderr.is_terminal() && !dumb && in_front
}

/// The terminal in raw mode with another screen on it.
#[derive(Debug)]
struct Taken;

impl Taken {
    fn take() -> std::io::Result<Self> {
        enable_raw_mode()?;
        // From here on, whatever goes wrong gives it back.
        let taken = Self;
        execute!(std::io::stderr(), EnterAlternateScreen, cursor::Hide)?;
        // The words of a panic would be lost with the screen that they are written on.
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            told(panic);
        }));
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Leaves the terminal as it was found; may be called again, and when it was never taken.
pub(super) fn give_back() {
    // Crossterm knows whether it has changed the terminal, and nothing can be done when it is gone.
    if is_raw_mode_enabled().unwrap_or(false) {
        let _ = execute!(std::io::stderr(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

fn show(screen: &Mutex<Screen>, ended: &AtomicBool) -> std::io::Result<()> {
    let mut terminal: Terminal<CrosstermBackend<Stderr>> = Terminal::new(CrosstermBackend::new(std::io::stderr()))?;
    // A panic elsewhere has given the terminal back already.
    while !ended.load(Ordering::Relaxed) && is_raw_mode_enabled()? {
        let now = lock(screen).clone();
        terminal.draw(|frame| now.draw(frame))?;
        if event::poll(EVERY)?
            && let Event::Key(key) = event::read()?
            && stops(key)
        {
            stop();
        }
    }
    Ok(())
}

/// Whether this key asks for the end: `q`, Escape, and Ctrl-C, which raw mode makes a key like any other.
fn stops(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let asked = match key.code {
        KeyCode::Char('c') => control,
        KeyCode::Char('q') => !control,
        KeyCode::Esc => true,
        _ => false,
    };
    asked && key.kind == KeyEventKind::Press
}

/// Does what Ctrl-C does elsewhere: the first time the run ends cleanly, the second time at once.
fn stop() {
    #[cfg(unix)]
    // A signal to oneself cannot fail.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT);
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_control_c_stop_and_nothing_else_does() {
        let press = |code, modifiers| KeyEvent::new(code, modifiers);
        for key in [
            press(KeyCode::Char('q'), KeyModifiers::NONE),
            press(KeyCode::Esc, KeyModifiers::NONE),
            press(KeyCode::Char('c'), KeyModifiers::CONTROL),
        ] {
            assert!(stops(key), "{key:?}");
        }
        for key in [
            press(KeyCode::Char('c'), KeyModifiers::NONE),
            press(KeyCode::Char('q'), KeyModifiers::CONTROL),
            press(KeyCode::Enter, KeyModifiers::NONE),
        ] {
            assert!(!stops(key), "{key:?}");
        }
    }
}
