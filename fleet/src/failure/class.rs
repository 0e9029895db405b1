//! The class of a failure.

use text::labels;

labels! {
    /// Why Ironic did not reach the agent of a node, or gave up on it.
    pub enum Class {
        /// The host is a name that nobody knows, or no name at all.
        NameResolution = "name_resolution": "the host of the agent URL does not resolve",
        /// Nothing listens there.
        Refused = "refused": "the connection was refused",
        /// No answer in time.
        Timeout = "timeout": "the agent did not answer in time",
        /// No way there.
        Unreachable = "unreachable": "there is no route to the agent",
        /// The connection broke.
        Reset = "reset": "the connection broke",
        /// A certificate for another address.
        TlsName = "tls_name": "the agent's certificate is for another address",
        /// A certificate that is not trusted, or no TLS on that port.
        TlsChain = "tls_chain": "the agent's certificate is not trusted, or its port speaks no TLS",
        /// The ramdisk was never heard of.
        CallbackTimeout = "callback_timeout": "no ramdisk called back in time",
        /// The agent and Ironic hold different tokens.
        Token = "token": "the agent token is wrong or missing",
        /// Anything else.
        Other = "other": "another failure",
    }
}

/// The words of each class, in the order in which they count. Python's and urllib3's, and of Ironic:
/// ironic/conductor/utils.py, drivers/modules/agent_client.py, api/controllers/v1/ramdisk.py.
const WORDS: [(Class, &[&str]); 9] = [
    (
        Class::Token,
        &[
            "agent token received",
            "Agent token is required",
            "Unknown agent token",
            "Token invalid",
            "missing agent token",
        ],
    ),
    (
        Class::CallbackTimeout,
        &["Timeout reached while waiting for callback", "waiting for rescue ramdisk callback"],
    ),
    (Class::TlsName, &["doesn't match", "Hostname mismatch", "IP address mismatch", "is not valid for"]),
    (
        Class::TlsChain,
        &[
            "CERTIFICATE_VERIFY_FAILED",
            "SSLError",
            "SSLCertVerificationError",
            "WRONG_VERSION_NUMBER",
            "[SSL",
        ],
    ),
    (
        Class::NameResolution,
        &[
            "NameResolutionError",
            "Failed to resolve",
            "in name resolution",
            "Name or service not known",
            "No address associated with hostname",
            "getaddrinfo failed",
            "label empty or too long",
            "label too long",
            "No host supplied",
            "Failed to parse",
            "Invalid URL",
        ],
    ),
    (Class::Refused, &["Connection refused", "[Errno 111]"]),
    (Class::Unreachable, &["No route to host", "Network is unreachable", "[Errno 113]", "[Errno 101]"]),
    (
        Class::Reset,
        &[
            "ConnectionResetError",
            "Connection reset",
            "Connection aborted",
            "RemoteDisconnected",
            "[Errno 104]",
            "Broken pipe",
        ],
    ),
    (Class::Timeout, &["timed out", "ConnectTimeout", "ReadTimeout", "[Errno 110]"]),
];

/// The class of the failure that a text tells of.
pub fn class(text: &str) -> Class {
    let found = WORDS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word)));
    found.map_or(Class::Other, |(class, _)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_text() {
        for (text, expected) in [
            ("[Errno -3] Temporary failure in name resolution',))", Class::NameResolution),
            (
                "NameResolutionError(\"HTTPConnection: Failed to resolve '172.25.134.128%20uid%200'",
                Class::NameResolution,
            ),
            ("Failed to establish a new connection: [Errno 111] Connection refused'))", Class::Refused),
            (
                "HTTPSConnectionPool(host='10.0.0.5', port=9999): Read timed out. (read timeout=60)",
                Class::Timeout,
            ),
            ("[Errno 113] No route to host", Class::Unreachable),
            ("('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))", Class::Reset),
            ("SSLError(CertificateError(\"hostname '10.0.0.9' doesn't match '10.0.0.5'\"))", Class::TlsName),
            (
                "certificate verify failed: IP address mismatch, certificate is not valid for '10.0.0.9'. CERTIFICATE_VERIFY_FAILED",
                Class::TlsName,
            ),
            (
                "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] self-signed",
                Class::TlsChain,
            ),
            ("SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number", Class::TlsChain),
            ("Timeout reached while waiting for callback for node x", Class::CallbackTimeout),
            ("Invalid or missing agent token received.", Class::Token),
            ("Failed to power on", Class::Other),
            ("/v1/commands/?wait=true&agent_token=x", Class::Other),
            ("", Class::Other),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }

    #[test]
    fn the_documentation_has_each_with_its_words() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fleet.md");
        let text = std::fs::read_to_string(path).unwrap();
        for class in Class::ALL {
            let row = format!("| `{}` | {} |", class.as_str(), class.words());
            assert!(text.contains(&row), "{row}");
        }
    }
}
