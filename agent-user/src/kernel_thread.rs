//! Questions to the kernel and looks into /proc that may take long, on a thread of their own: while a driver holds the
//! kernel's rtnl lock one can wait for seconds, and heartbeats, pages and the watchdog must not.

use std::time::Duration;

use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

/// So many at once: what hangs in the kernel must not take every blocking thread of the runtime.
static FREE: Semaphore = Semaphore::const_new(2);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum Unanswered {
    /// None came in time. The question may go on.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// It panicked: a defect of ours.
    #[error("asking ended early: {0}")]
    Died(#[from] JoinError),
}

/// Asks, and waits for the answer at most this long.
///
/// # Errors
/// Where there is none; a question that did not begin in time is never asked.
pub async fn ask<T: Send + 'static>(
    limit: Duration,
    question: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unanswered> {
    let answer = timeout(limit, async {
        // Nobody closes it; without a permit it would only be asked beside the others.
        let permit = FREE.acquire().await.ok();
        spawn_blocking(move || {
            let _until_answered = permit;
            question()
        })
        .await
    });
    match answer.await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Unanswered::Late(limit)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn questions_that_hang_take_two_threads_and_no_more() {
        let (begun, beginnings) = sync_channel(8);
        let (end, ending) = sync_channel::<()>(8);
        let ending = std::sync::Arc::new(std::sync::Mutex::new(ending));
        let answers = crate::daemon::block_on(async {
            let limit = Duration::from_millis(50);
            for _ in 0..4 {
                let (begun, ending) = (begun.clone(), ending.clone());
                let late = ask(limit, move || {
                    begun.send(()).unwrap();
                    ending.lock().unwrap().recv().unwrap();
                });
                assert!(matches!(late.await, Err(Unanswered::Late(_))));
            }
            let hanging = beginnings.try_iter().count();
            end.send(()).unwrap();
            end.send(()).unwrap();
            let answer = ask(Duration::from_secs(10), || 7).await;
            (hanging, answer.unwrap())
        });
        assert_eq!(answers.unwrap(), (2, 7));
    }
}
