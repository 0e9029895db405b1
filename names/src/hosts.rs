//! `/etc/hosts` as glibc reads it (hosts(5), `nss/nss_files/files-hosts.c`).

use std::net::IpAddr;

/// The addresses of a name, IPv4 and IPv6; `None` where no line has it. A line without a plain address is passed over, also
/// one with a zone.
pub fn addresses(file: &[u8], name: &str) -> Option<[Vec<IpAddr>; 2]> {
    let mut found: [Vec<IpAddr>; 2] = Default::default();
    for line in file.split(|byte| *byte == b'\n') {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(address) = words.next() else { continue };
        if !words.any(|word| word.eq_ignore_ascii_case(name.as_bytes())) {
            continue;
        }
        let Some(ip) = std::str::from_utf8(address).ok().and_then(|text| text.parse::<IpAddr>().ok()) else {
            continue;
        };
        let [inet, inet6] = &mut found;
        if ip.is_ipv4() { inet.push(ip) } else { inet6.push(ip) }
    }
    found.iter().any(|family| !family.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_name_counts() {
        let file = b"127.0.0.1 localhost\n\
            \t 192.0.2.1\tironic.test Ironic_API xn--a # ironic.comment\r\n\
            # 192.0.2.9 ironic.test\n\
            192.0.2.256 ironic.test\n\
            192.0.2.08 ironic.test\n\
            \xff\xfe 192.0.2.9 ironic.test\n\
            fe80::1%eth0 ironic.test\n\
            192.0.2.7 dotted.\n\
            192.0.2.6 \xffname after\n\
            192.0.2.5\n\
            2001:db8::1 other IRONIC.test\n192.0.2.2 ironic.test";
        let shown = |name: &str| {
            let [inet, inet6] = addresses(file, name)?;
            Some(inet.into_iter().chain(inet6).map(|ip| ip.to_string()).collect::<Vec<_>>().join(" "))
        };
        for (name, expected) in [
            ("ironic.test", Some("192.0.2.1 192.0.2.2 2001:db8::1")),
            ("ironic_api", Some("192.0.2.1")),
            ("xn--a", Some("192.0.2.1")),
            ("after", Some("192.0.2.6")),
            ("dotted", None),
            ("ironic.comment", None),
            ("192.0.2.5", None),
        ] {
            assert_eq!(shown(name).as_deref(), expected, "{name}");
        }
    }
}
