//! A body on its way through: bounded in idle time, and where somebody wants to see it, copied as it passes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep};

use super::patience::Patience;

/// The longest time in which a body may stand still.
const IDLE: Duration = Duration::from_secs(60);

/// So much of an answer is looked at: Ironic's lookup of a large node has some 100 KiB.
const SEEN: usize = 1 << 20;

/// Bodies of either direction, of whatever origin.
pub type AnyBody = BoxBody<Bytes, RelayError>;

/// Why a body broke off. It is not told to anybody but the log: the connection is closed.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The other side broke off.
    #[error("{0}")]
    Broken(#[from] hyper::Error),
    /// Nothing came for too long.
    #[error("nothing came for {} s", IDLE.as_secs())]
    Idle,
}

/// Called once at the end of a body: with all of it, or `None` where it broke off or is too large to be looked at.
pub type AtEnd = Box<dyn FnOnce(Option<Bytes>) + Send + Sync>;

/// A body that is complete already.
pub fn full(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A body that passes.
pub fn passing(inner: Incoming, at_end: Option<AtEnd>) -> AnyBody {
    relay(inner, at_end, None)
}

/// The body of a request that passes, for whose answer IPA waits as long as it moves.
pub fn passing_up(inner: Incoming, patience: Patience) -> AnyBody {
    relay(inner, None, Some(patience))
}

fn relay(inner: Incoming, at_end: Option<AtEnd>, patience: Option<Patience>) -> AnyBody {
    let idle = Box::pin(sleep(IDLE));
    Relay { inner, idle, seen: Some(Vec::new()), at_end, patience }.boxed()
}

struct Relay {
    inner: Incoming,
    idle: Pin<Box<Sleep>>,
    /// What has passed; `None` once it is too much.
    seen: Option<Vec<u8>>,
    at_end: Option<AtEnd>,
    patience: Option<Patience>,
}

impl Relay {
    fn note(&mut self, data: &[u8]) {
        if self.at_end.is_none() {
            return;
        }
        self.seen = self.seen.take().filter(|seen| seen.len() + data.len() <= SEEN).map(|mut seen| {
            seen.extend_from_slice(data);
            seen
        });
    }

    fn end(&mut self, complete: bool) {
        if let Some(at_end) = self.at_end.take() {
            at_end(self.seen.take().filter(|_| complete).map(Bytes::from));
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) else {
            ready!(self.idle.as_mut().poll(context));
            self.end(false);
            return Poll::Ready(Some(Err(RelayError::Idle)));
        };
        self.idle.as_mut().reset(Instant::now() + IDLE);
        if let Some(patience) = &self.patience {
            patience.renew();
        }
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.note(data);
                }
                // The end must be noted before the receiver can act on it: it may never ask for the last nothing.
                if self.inner.is_end_stream() {
                    self.end(true);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.end(false);
                Some(Err(error.into()))
            }
            None => {
                self.end(true);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        // With somebody waiting for the end, it is not reached before that one was told.
        self.inner.is_end_stream() && self.at_end.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let complete = self.inner.is_end_stream();
        self.end(complete);
    }
}
