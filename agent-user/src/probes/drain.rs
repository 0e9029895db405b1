//! Reading the events: woken by the first one, then on a timer as long as there are any.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use agent_ebpf::{EVENT_LENGTH, Event, RING_BUFFER_LENGTH};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use super::load::Attached;
use super::record::Recorder;
use crate::system;

/// How long events may lie. Waking up for each of them would double the cost of a failed connect.
const PACE: Duration = Duration::from_millis(50);
/// Events that fill the ring buffer, each with a header of 8 bytes (`BPF_RINGBUF_HDR_SZ`).
const FULL: usize = RING_BUFFER_LENGTH as usize / (EVENT_LENGTH + 8);
/// How often it is looked whether the kernel skipped a program.
const LOOK: Duration = Duration::from_secs(1);
/// At most so many are read at once: a storm must not keep the one thread from its other work.
const BATCH: usize = 4 * FULL;

/// Empties the ring buffer into the recorder; once more when it is dropped.
#[derive(Debug)]
pub struct Drain {
    attached: Attached,
    recorder: Recorder,
    /// When it was last looked for skipped runs.
    looked: Option<Instant>,
}

impl Drain {
    /// Of what is attached.
    pub fn new(attached: Attached, recorder: Recorder) -> Self {
        Self { attached, recorder, looked: None }
    }

    /// Works until it is dropped.
    pub async fn run(mut self) {
        let events = watched(self.attached.events.as_fd());
        let log = self.attached.log.as_ref().and_then(|log| watched(log.as_fd()));
        let mut more = false;
        loop {
            if events.is_some() && !more && !self.recorder.is_waiting() {
                tokio::select! {
                    () = readable(events.as_ref()) => {}
                    () = readable(log.as_ref()) => {}
                }
            }
            sleep(PACE).await;
            more = self.drain() >= BATCH;
        }
    }

    /// Gives how many events there were.
    fn drain(&mut self) -> usize {
        let mut count = 0;
        while count < BATCH {
            let Some(item) = self.attached.events.next() else {
                break;
            };
            count += 1;
            if let Some(event) = Event::read(&item) {
                self.recorder.record(&event);
            }
        }
        self.recorder.flush();
        self.recorder.lost(self.attached.lost());
        if let Some(log) = &mut self.attached.log {
            log.flush();
        }
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            self.recorder.skipped(self.attached.skipped());
        }
        count
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.drain();
        self.recorder.finish();
    }
}

/// Lets the runtime watch a ring buffer; `None` where it refuses, which is logged.
pub fn watched(descriptor: std::os::fd::BorrowedFd<'_>) -> Option<AsyncFd<OwnedFd>> {
    let watched = descriptor.try_clone_to_owned().and_then(system::watch);
    watched
        .inspect_err(|error| tracing::warn!(%error, "a ring buffer of the probes cannot be waited for"))
        .ok()
}

/// Waits for news, for as long as it takes where nothing can be watched. The readiness is cleared before the news are read, so none is missed.
pub async fn readable(descriptor: Option<&AsyncFd<OwnedFd>>) {
    match descriptor {
        Some(descriptor) => {
            if let Ok(mut guard) = descriptor.readable().await {
                guard.clear_ready();
            }
        }
        None => std::future::pending().await,
    }
}
