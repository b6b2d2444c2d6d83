//! What a request costs besides its store operations: CPU time and waiting.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Spends `time` of this thread's CPU clock. It blocks the executor thread on purpose: so does a handler's own code.
pub(crate) fn burn(time: Duration) {
    if time.is_zero() {
        return;
    }
    let end = thread_cpu_time() + time;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while thread_cpu_time() < end {
        // About a microsecond of arithmetic between two looks at the clock, whose reading is a system call.
        for _ in 0..512 {
            state = black_box(state.rotate_left(13).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (state >> 7));
        }
    }
}

/// Waits as for an answer of another service: no thread, no connection and no lock is held.
pub(crate) async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burning_spends_the_threads_own_cpu_time() {
        let before = thread_cpu_time();
        burn(Duration::from_millis(3));
        assert!(thread_cpu_time() >= before + Duration::from_millis(3));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_takes_the_whole_time() {
        let start = tokio::time::Instant::now();
        wait(Duration::from_millis(90)).await;
        assert!(start.elapsed() >= Duration::from_millis(90));
    }
}
