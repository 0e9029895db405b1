//! What the kernel, DNS and Ironic said: all that the decision depends on.

use std::net::IpAddr;
use std::sync::Arc;

use callback_url::ApiUrl;
use fib::{Address, Errno, Link, Route};

/// Everything that was asked.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The API URLs in the order of preference.
    pub targets: Vec<Target>,
    /// What Ironic holds as this node's callback URL.
    pub pinned: Option<Pinned>,
    /// What IPA is known to have started with.
    pub committed: Option<Committed>,
    /// What Ironic was reached from.
    pub answered: Option<Answered>,
}

impl Facts {
    /// The first question that the kernel did not answer, as a sentence: what seems to be missing may be there. A refusal
    /// is an answer.
    pub fn unanswered(&self) -> Option<&str> {
        let destinations = self.targets.iter().flat_map(|target| target.resolution.iter().flatten());
        let routes = destinations.filter_map(|destination| match &destination.candidates {
            Err(RouteFailure::Question(error)) => Some(error.as_str()),
            _ => None,
        });
        let pinned = self.pinned.iter().filter_map(|pinned| pinned.unanswered.as_deref());
        let committed = self.committed.iter().filter_map(|committed| committed.unanswered.as_deref());
        let answered = self.answered.iter().filter_map(|answered| answered.unanswered.as_deref());
        routes.chain(pinned).chain(committed).chain(answered).next()
    }
}

/// One API URL.
#[derive(Debug, Clone)]
pub struct Target {
    /// The URL.
    pub url: ApiUrl,
    /// Its addresses in any order, or why there are none.
    pub resolution: Result<Vec<Destination>, String>,
}

/// One address of the API.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The address.
    pub ip: IpAddr,
    /// The daemon's source addresses towards it, the kernel's own choice first, or why there is none.
    pub candidates: Result<Vec<Candidate>, RouteFailure>,
}

/// Why there is no source address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteFailure {
    /// The kernel refuses the route with this error.
    Kernel(Errno),
    /// The kernel has a route but no source address for it.
    NoSource,
    /// The device that the operator named does not exist.
    NoSuchDevice(String),
    /// The device that the operator named has no route to the API and no address.
    NoAddressOnDevice(String),
    /// The question itself failed.
    Question(String),
}

/// One source address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The address.
    pub source: IpAddr,
    /// Whether the kernel chose it for this destination, or it is another address of the outgoing device.
    pub chosen_by_kernel: bool,
    /// Whether it was found on the operator's device although that has no route to the API.
    pub by_interface: bool,
    /// The address as it is assigned here, on whichever device.
    pub address: Option<Address>,
    /// Addresses of the outgoing device in the same family: why the kernel may have chosen a poor one. Empty beside a good
    /// one.
    pub beside: Arc<[Address]>,
    /// The route from this very source, or the kernel's error.
    pub route: Result<Route, Errno>,
    /// The outgoing device.
    pub link: Option<Link>,
}

/// What Ironic holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The callback URL as it was accepted.
    pub url: String,
    /// Its address, where its host is one.
    pub ip: Option<IpAddr>,
    /// That address as it is assigned here, if it is.
    pub address: Option<Address>,
    /// The device that has it.
    pub link: Option<Link>,
    /// Why the kernel could not be asked about it.
    pub unanswered: Option<String>,
}

/// The address that IPA is known to have started with, once its lookup has passed: its certificate is made for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The address.
    pub ip: IpAddr,
    /// As it is assigned here, if it is.
    pub address: Option<Address>,
    /// The device that has it.
    pub link: Option<Link>,
    /// Why the kernel could not be asked about it.
    pub unanswered: Option<String>,
}

/// The source of a connection that Ironic answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The address.
    pub ip: IpAddr,
    /// The API URL that answered.
    pub url: ApiUrl,
    /// The address as it is assigned here, if it is.
    pub address: Option<Address>,
    /// The device that has it.
    pub link: Option<Link>,
    /// Why the kernel could not be asked about it.
    pub unanswered: Option<String>,
}
