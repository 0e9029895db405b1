//! The question to the kernel that everything rests on.

use super::report::{Aim, Figure};
use super::samples::ratios;
use super::{Bench, kernel};

/// Ours, the floor and `ip route get`.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let times = kernel::measure(bench, "question", 101)?;
    let (ours, floor, process) = (times.of("ours")?, times.of("floor")?, times.of("process")?);
    let mut figure = Figure::new(
        "Which source address reaches the API?",
        format!(
            "{} rounds, with one IPv4 default route. In each a batch of 500 of the daemon's questions (`fib::Kernel::route`): it \
             writes the question, reads the answer attribute by attribute and counts it. The floor is a batch of 500 that \
             send the same bytes, made once, and do not look at the answer. Then 5 runs of `ip route get`, started from \
             Rust and searched for one word; IPA starts it from Python, which takes longer.",
            ours.len()
        ),
    );
    figure.row("a question of the daemon", times.samples("ours")?.times());
    figure.row("the floor", times.samples("floor")?.times());
    figure.row("`ip route get`", times.samples("process")?.times());
    let show = |ratio: f64| format!("{ratio:.2}");
    let ratio = ratios(ours, floor);
    figure.aimed("a question / the floor", ratio.spread(show), Aim::at_most(ratio.median(), 1.4, show));
    let show = |ratio: f64| format!("{ratio:.0}");
    let ratio = ratios(process, ours);
    figure.aimed(
        "`ip route get` / a question",
        ratio.spread(show),
        Aim::at_least(ratio.median(), 200.0, show),
    );
    figure.limited_by(
        "What a question takes more is the reading and checking of each attribute, and recvmsg(2), which names the sender.",
    );
    Ok(figure)
}
