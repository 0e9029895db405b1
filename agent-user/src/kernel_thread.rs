//! Questions to the kernel beside the watch's: on a thread of their own, for a limited time. While a driver holds the
//! kernel's rtnl lock an answer can take seconds, and heartbeats and pages must not wait for it.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// An answer that takes longer is unknown for this time; a sound kernel needs milliseconds.
const LIMIT: Duration = Duration::from_secs(2);

/// So many questions hang in the kernel at most; others go unanswered meanwhile.
static FREE: Semaphore = Semaphore::const_new(QUESTIONS);

/// How many questions beside the watch's have a thread at the same time.
pub const QUESTIONS: usize = 2;

/// Asks; `None` where no answer came in time.
pub async fn ask<T: Send + 'static>(question: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    ask_within(LIMIT, &FREE, question).await
}

async fn ask_within<T: Send + 'static>(
    limit: Duration,
    free: &'static Semaphore,
    question: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let answered = timeout(limit, async {
        let permit = free.acquire().await.ok()?;
        let asked = tokio::task::spawn_blocking(move || {
            let answer = question();
            drop(permit); // Only now, also where nobody waits any longer.
            answer
        });
        asked.await.ok()
    });
    let answer = answered.await.ok().flatten();
    if answer.is_none() {
        tracing::debug!(?limit, "the kernel did not answer in time");
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_question_that_hangs_is_unknown_and_few_hang_at_a_time() {
        static FREE: Semaphore = Semaphore::const_new(QUESTIONS);
        let limit = Duration::from_millis(50);
        assert_eq!(ask_within(LIMIT, &FREE, || 7).await, Some(7));
        let (release, hung) = mpsc::channel::<()>();
        let hang = |hung: mpsc::Receiver<()>| move || hung.recv().is_err();
        let (other_release, other_hung) = mpsc::channel::<()>();
        assert_eq!(ask_within(limit, &FREE, hang(hung)).await, None);
        assert_eq!(ask_within(limit, &FREE, hang(other_hung)).await, None);
        // Both threads hang: the next question has none.
        assert_eq!(ask_within(limit, &FREE, || 8).await, None);
        drop((release, other_release));
        assert_eq!(ask_within(LIMIT, &FREE, || 9).await, Some(9));
    }
}
