//! One event per failed connect, out of two sources that can tell of the same one. Pure; memory is bounded.

use std::collections::VecDeque;
use std::time::Duration;

use agent_ebpf::{Event, kind, sureness};

/// So many are remembered of each kind; older ones go on as they are.
const KEPT: usize = 256;
/// An error is reported in the same instant in which its connect ends; this is for what a drain may tear apart.
const WAIT: Duration = Duration::from_millis(200);
/// A second connect on a socket fetches the error of the first one at most this much later.
const ECHO: Duration = Duration::from_secs(60);

/// Joins the sources.
#[derive(Debug, Default)]
pub struct Join {
    /// Whether errors come from [`kind::ERROR_REPORTED`], for want of BTF.
    errors_are_reported: bool,
    /// Failures that wait for their error, oldest first.
    waiting: VecDeque<Event>,
    /// Reports that wait for their failure, oldest first.
    reports: VecDeque<Event>,
    /// Failures whose error a second connect call may return once more.
    echoes: VecDeque<Event>,
}

impl Join {
    /// `errors_are_reported` where the kernel has no BTF and the error report is attached.
    pub fn new(errors_are_reported: bool) -> Self {
        Self { errors_are_reported, ..Self::default() }
    }

    /// Takes an event; gives the failures that are complete with it.
    pub fn push(&mut self, mut event: Event) -> Vec<Event> {
        match event.kind {
            kind::CONNECT_FAILED if event.sureness == sureness::UNKNOWN && self.errors_are_reported => {
                match take(&mut self.reports, |report| same_connection(report, &event)) {
                    Some(report) => {
                        tell(&mut event, &report);
                        self.complete(event)
                    }
                    None => {
                        let displaced = keep(&mut self.waiting, event);
                        displaced.into_iter().collect()
                    }
                }
            }
            kind::CONNECT_FAILED => self.complete(event),
            kind::ERROR_REPORTED => {
                match take(&mut self.waiting, |failure| same_connection(failure, &event)) {
                    Some(mut failure) => {
                        tell(&mut failure, &event);
                        self.complete(failure)
                    }
                    None => {
                        keep(&mut self.reports, event);
                        Vec::new()
                    }
                }
            }
            kind::CALL_FAILED => match take(&mut self.echoes, |failure| is_echo(failure, &event)) {
                Some(_) => Vec::new(),
                None => vec![event],
            },
            _ => Vec::new(),
        }
    }

    /// Gives the failures whose error did not come in time. `now` is the time of the newest event, in nanoseconds of
    /// the events' clock, or later; what claims to be of a time to come is not waited for.
    pub fn overdue(&mut self, now: u64) -> Vec<Event> {
        let old = |event: &Event, age: Duration| now.abs_diff(event.ended) > nanoseconds(age);
        self.reports.retain(|report| !old(report, WAIT));
        self.echoes.retain(|failure| !old(failure, ECHO));
        let due = self.waiting.iter().take_while(|event| old(event, WAIT)).count();
        self.waiting.drain(..due).collect()
    }

    /// Gives all that wait: nothing more comes.
    pub fn rest(&mut self) -> Vec<Event> {
        self.waiting.drain(..).collect()
    }

    /// Whether a failure waits for its error.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn complete(&mut self, event: Event) -> Vec<Event> {
        keep(&mut self.echoes, event);
        vec![event]
    }
}

fn same_connection(one: &Event, other: &Event) -> bool {
    (one.local_port, one.peer_port, one.local_address, one.peer_address)
        == (other.local_port, other.peer_port, other.local_address, other.peer_address)
}

/// A second connect(2) on the same socket returns the first one's error, and no SYN is sent: its last one is older than the
/// failure. A new socket at the same place in memory has sent its own since, or none.
fn is_echo(failure: &Event, call: &Event) -> bool {
    call.socket != 0
        && failure.socket == call.socket
        && call.started < failure.ended
        && call.ended.saturating_sub(failure.ended) <= nanoseconds(ECHO)
}

fn tell(failure: &mut Event, report: &Event) {
    failure.errno = report.errno;
    failure.sureness = report.sureness;
}

fn take(events: &mut VecDeque<Event>, wanted: impl Fn(&Event) -> bool) -> Option<Event> {
    let at = events.iter().position(wanted)?;
    events.remove(at)
}

/// Keeps an event; gives the one that had to go.
fn keep(events: &mut VecDeque<Event>, event: Event) -> Option<Event> {
    let displaced = if events.len() == KEPT { events.pop_front() } else { None };
    events.push_back(event);
    displaced
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn failed(port: u16, errno: u32, sureness: u32, ended: u64) -> Event {
        Event {
            kind: kind::CONNECT_FAILED,
            local_port: port,
            socket: 3,
            errno,
            sureness,
            ended,
            ..Event::default()
        }
    }

    fn report(port: u16, errno: u32, ended: u64) -> Event {
        Event { kind: kind::ERROR_REPORTED, ..failed(port, errno, sureness::SOCKET, ended) }
    }

    fn call(socket: u64, started: u64, ended: u64) -> Event {
        Event { kind: kind::CALL_FAILED, socket, started, ..failed(0, 113, sureness::SOCKET, ended) }
    }

    #[test]
    fn a_report_before_or_after_its_failure_tells_the_error_once() {
        for report_first in [true, false] {
            let mut join = Join::new(true);
            let mut events = [report(1, 111, 5 * MS), failed(1, 0, sureness::UNKNOWN, 5 * MS)];
            if !report_first {
                events.reverse();
            }
            let [first, second] = events;
            assert_eq!(join.push(first), []);
            let complete = join.push(second);
            assert_eq!(complete, [failed(1, 111, sureness::SOCKET, 5 * MS)]);
            assert_eq!((join.is_waiting(), join.overdue(u64::MAX)), (false, Vec::new()));
        }
    }

    #[test]
    fn a_report_of_another_connection_tells_nothing() {
        let mut join = Join::new(true);
        assert_eq!(join.push(failed(1, 0, sureness::UNKNOWN, MS)), []);
        assert_eq!(join.push(report(2, 104, MS)), []);
        assert_eq!(join.overdue(100 * MS), []);
        assert_eq!(join.overdue(300 * MS), [failed(1, 0, sureness::UNKNOWN, MS)]);
    }

    #[test]
    fn an_event_of_a_time_to_come_holds_nothing_up() {
        let mut join = Join::new(true);
        let odd = failed(1, 0, sureness::UNKNOWN, u64::MAX - 1);
        assert_eq!(join.push(odd), []);
        assert_eq!(join.push(failed(2, 0, sureness::UNKNOWN, MS)), []);
        assert_eq!(join.overdue(300 * MS), [odd, failed(2, 0, sureness::UNKNOWN, MS)]);
        assert_eq!(join.push(odd), []);
        assert_eq!((join.rest(), join.is_waiting()), (vec![odd], false));
    }

    #[test]
    fn without_the_second_source_nothing_waits() {
        let mut join = Join::new(false);
        assert_eq!(join.push(failed(1, 0, sureness::UNKNOWN, MS)).len(), 1);
    }

    #[test]
    fn a_second_connect_that_fetches_the_error_is_no_second_failure() {
        let mut join = Join::new(false);
        assert_eq!(join.push(failed(1, 113, sureness::SOCKET, 10 * MS)).len(), 1);
        assert_eq!(join.push(call(4, 5 * MS, 20 * MS)).len(), 1, "another socket");
        assert_eq!(join.push(call(3, 15 * MS, 20 * MS)).len(), 1, "its SYN came later: a new socket");
        assert_eq!(join.push(call(3, 20 * MS, 20 * MS)).len(), 1, "it sent none: a new socket");
        assert_eq!(join.push(call(3, 5 * MS, 20 * MS)), []);
        assert_eq!(join.push(call(3, 5 * MS, 30 * MS)).len(), 1, "the next one is a failure of its own");
    }

    proptest! {
        #[test]
        fn every_failure_comes_out_once_and_memory_is_bounded(
            order in proptest::collection::vec((0u16..600, any::<bool>()), 0..1500),
        ) {
            let mut join = Join::new(true);
            let (mut failures, mut out) = (0, 0);
            for (port, is_report) in order {
                failures += usize::from(!is_report);
                let event = if is_report { report(port, 111, 1) } else { failed(port, 0, sureness::UNKNOWN, 1) };
                out += join.push(event).len();
                prop_assert!(join.waiting.len() <= KEPT && join.reports.len() <= KEPT && join.echoes.len() <= KEPT);
            }
            out += join.overdue(u64::MAX).len();
            prop_assert_eq!(out, failures);
        }
    }
}
