//! A bare timer loop: what this core and this host do to somebody who only waits and looks at the clock.

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use serde_json::json;
use std::error::Error;
use std::time::Duration;

/// Waits `rate` times a second for `seconds`, and prints how late it woke.
pub(super) fn run(rate: u32, seconds: u32) -> Result<(), Box<dyn Error>> {
    let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let start = Duration::try_from(clock_gettime(ClockId::Monotonic))? + Duration::from_millis(10);
    let mut late = Vec::new();
    let mut expirations = [0; 8];
    for index in 0..rate * seconds {
        let due = start + Duration::from_secs(1) * index / rate;
        let mut now = Duration::try_from(clock_gettime(ClockId::Monotonic))?;
        if now < due {
            let once =
                Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: Timespec::try_from(due)? };
            timerfd_settime(&fd, TimerfdTimerFlags::ABSTIME, &once)?;
            rustix::io::read(&fd, &mut expirations)?;
            now = Duration::try_from(clock_gettime(ClockId::Monotonic))?;
        }
        late.push(now.saturating_sub(due).as_micros());
    }
    late.sort_unstable();
    let at = |percent: usize| late.get(late.len() * percent / 100).or(late.last()).copied().unwrap_or_default();
    println!("{}", json!({"lateness_us": [at(50), at(99), at(100)]}));
    Ok(())
}
