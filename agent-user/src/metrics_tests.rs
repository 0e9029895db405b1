use super::*;

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render().unwrap().0).unwrap()
}

#[test]
fn few_series_and_the_worst_case_stays_bounded() {
    let metrics = Metrics::new().unwrap();
    metrics.set_mode(Mode::Guard);
    for mode in Mode::ALL {
        metrics.set_mode(mode);
    }
    metrics.bad_agent_url(UrlSource::Ipa, UrlAction::Held, &Reason::ALL);
    metrics.show_decision(&Decision::none(Refusal::NoRoute), true);
    let text = text(&metrics);
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(samples <= 300, "{samples} samples");
    assert!(text.contains("ipa_sidecar_mode_info{mode=\"agent\"} 1\n") && !text.contains("mode=\"guard\""));
    assert!(text.contains("ipa_sidecar_bad_agent_url_total{action=\"held\",source=\"ipa\"} 1\n"));
    assert!(text.contains("ipa_sidecar_bad_agent_url_reasons_total{reason=\"percent_encoded_host\"} 1\n"));
    assert!(text.contains("\nprocess_open_fds ") && !text.contains("ipa_sidecar_process"));
}

#[test]
fn the_first_accepted_heartbeat_is_timed_and_no_later_one() {
    let metrics = Metrics::new().unwrap();
    let first = || metrics.heartbeat_first_accepted.get();
    assert_eq!(first(), 0.0);
    let before = uptime_seconds();
    metrics.heartbeat_accepted(true);
    let accepted = first();
    assert!(before <= accepted && accepted <= uptime_seconds(), "{before} {accepted}");
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert!((uptime - accepted).abs() < 5.0, "{uptime} {accepted}");
    metrics.heartbeat_accepted(false);
    assert_eq!(first(), accepted);
}
