//! ipa-sidecar: the kernel's own answer to "which source address reaches the Ironic API", as one typed value, from
//! netlink to everything that needs it.
//!
//! docs/architecture.md has the stages (hear, ask, decide, act, show), their modules, and where to add what.

mod advertise;
mod agent;
mod cli;
mod commands;
mod daemon;
mod exchange;
mod exits;
mod guard;
mod http1;
mod image;
mod ipa;
mod ironic;
mod kept;
mod kernel_thread;
mod logging;
mod metrics;
mod metrics_reference;
mod nics;
mod notify;
mod onlooker;
mod params;
mod passed_by;
mod pin;
#[cfg(feature = "ebpf")]
mod private_mount;
mod probes;
mod read_back;
mod readiness;
mod recent;
mod registrar;
mod report;
mod sight;
mod single;
mod status;
mod system;
mod tick;
mod view;
mod watch;
mod web;

pub use cli::run;

/// What the tests, benchmarks and fuzz targets of this workspace look into. Nothing else of the crate is public.
#[doc(hidden)]
pub mod inside {
    pub use api_client::version::parse_root;
    pub use api_client::{ApiVersion, HttpError, error_text, is_uuid};

    pub use crate::advertise::{
        Answered, Candidate, Committed, Decision, Destination, Facts, Origin, Pinned, Refusal, RouteFailure,
        Target, decide,
    };
    pub use crate::cli::command;
    pub use crate::commands::params::run as print_parameters;
    pub use crate::daemon::block_on;
    pub use crate::guard::policy::{HeartbeatAction, HeartbeatFacts, heartbeat};
    pub use crate::http1::{
        Answers, Asked, Era, Heartbeat as SplitHeartbeat, HeartbeatBody, Kind, PENDING, Splitter, Step,
        classify,
    };
    pub use crate::image::Image;
    pub use crate::ipa::commitment::{by_read_back, started_with};
    pub use crate::ipa::dropin::content;
    pub use crate::ipa::restart::{Drain, RestartFacts, SightRecord, Verdict, judge as judge_restart};
    pub use crate::ipa::status::IpaState;
    pub use crate::ironic::fault::refusal;
    pub use crate::ironic::{
        Answer, Client, Endpoint, Heartbeat, HeartbeatResult, IronicError, LookupQuery, LookupReply,
        LookupResult, Phase, Refusal as IronicRefusal,
    };
    pub use crate::kept::{Contents, DropinWrite, IpaId, Repaired, StartedWith};
    pub use crate::metrics::Metrics;
    pub use crate::metrics_reference::{Values, markdown, values};
    pub use crate::params::vmedia::superblock::{FileSystem, identify};
    pub use crate::params::{
        AdvertiseParameters, IronicParameters, Loaded, Mode, Parameters, ParamsError, Places, ProblemKind,
        Source, advertise_host, cmdline, flags, ipa_config, load_from, mode_flag,
    };
    pub use crate::pin::Held;
    pub use crate::probes::ProbesState;
    pub use crate::probes::Reason as ProbeReason;
    pub use crate::probes::btf::Btf;
    pub use crate::probes::callbacks::Callbacks;
    pub use crate::probes::format::field;
    pub use crate::probes::join::Join;
    pub use crate::probes::record::Recorder;
    pub use crate::read_back::due::{Facts as ReadBackFacts, Last as LastReadBack, due as read_back_due};
    pub use crate::sight::chunk::{Chunk, Direction, FlowId, Seen as SightSeen, Source as SightSource, Who};
    pub use crate::sight::flow::Event as SightEvent;
    pub use crate::sight::flows::Flows;
    pub use crate::sight::parse::Exchange;
    #[cfg(feature = "ebpf")]
    pub use crate::sight::tls::slots::Slots;
    pub use crate::sight::tls::{Report as TlsReport, Tls};
    pub use crate::watch::{Lack, Published, Reach, ResolvedTarget, WINDOW, Watch, settle};
}
