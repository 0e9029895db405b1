//! What the image of this machine says where no layer does: the directory of the drop-in, IPA's scheme, its certificates.

use callback_url::Scheme;
use serde_json::Value;

use crate::image::place::{KnownBy, Place};
use crate::image::{Image, IpaVersion};

use super::layers::Merged;
use super::problem::Source;
use super::types::Mode;

/// Takes it over into the merged values, with where it came from.
pub(super) fn apply(merged: &mut Merged, image: &Image, place: &Place) {
    merged.parameters.ipa.config_dir.clone_from(&place.directory);
    let of_image = match place.known_by {
        KnownBy::Operator | KnownBy::Default => None,
        KnownBy::Unit => place.unit.clone().map(|unit| format!("{unit}: what it reads")),
        KnownBy::Process => Some("the arguments of the IPA that runs".to_owned()),
    };
    if let Some(detail) = of_image {
        say(merged, "ipa.config-dir", place.directory.to_string_lossy().into_owned(), detail);
    }
    if serves_tls(merged, image) {
        merged.parameters.advertise.protocol = Scheme::Https;
        merged.parameters.advertise.protocol_is_expected = true;
        let detail =
            "IPA makes its certificate itself (enable_auto_tls), unless Ironic is older than API 1.68";
        say(merged, "advertise.protocol", Scheme::Https.as_str().to_owned(), detail.to_owned());
    }
    if let (None, Some((path, known_by))) = (&merged.parameters.ironic.cafile, image.certificates())
        && holds_certificates(&path)
    {
        let detail = format!("{known_by} of this machine's IPA");
        say(merged, "ironic.cafile", path.to_string_lossy().into_owned(), detail);
        merged.parameters.ironic.cafile = Some(path);
    }
}

/// Whether the IPA of this image makes its certificate itself, whatever `advertise_protocol` it is given
/// (ironic_python_agent/agent.py, `_start_auto_tls`). A version that is not known counts as one of today.
fn serves_tls(merged: &Merged, image: &Image) -> bool {
    let parameters = &merged.parameters;
    let settings = &parameters.ipa_settings;
    let is_given =
        merged.entries.iter().any(|entry| entry.name == "advertise.protocol" && entry.source.is_own());
    let makes_it = image.installation.version.is_none_or(|version| version >= IpaVersion::AUTO_TLS);
    let alone = parameters.mode == Mode::Agent;
    image.has_ipa() && makes_it && settings.enable_auto_tls && !settings.listen_tls && !is_given && !alone
}

/// A file without any certificate in it leaves the system's, as if it were not there.
fn holds_certificates(path: &std::path::Path) -> bool {
    exporter::read_file(path).is_ok_and(|content| {
        let begin = b"-----BEGIN CERTIFICATE-----";
        content.windows(begin.len()).any(|window| window == begin)
    })
}

fn say(merged: &mut Merged, name: &str, value: String, detail: String) {
    if let Some(entry) = merged.entries.iter_mut().find(|entry| entry.name == name) {
        (entry.value, entry.source, entry.detail) = (Value::from(value), Source::IpaConfig, detail);
    }
}
