# The example with every line of it in force
sed 's/^#IPA_/IPA_/' /usr/share/doc/ipa-sidecar/examples/ipa-sidecar.env > /etc/ipa-sidecar.env
(set -a; . /etc/ipa-sidecar.env; ipa-sidecar params --no-vmedia --cmdline.path=/dev/null > /dev/null)
# A daemon that was killed leaves its drop-in
timeout --signal=KILL 5 ipa-sidecar run --mode=configure --no-vmedia --cmdline.path=/dev/null --probe.connect=off \
    --ironic.api-url=http://192.0.2.1:6385 --advertise.host=192.0.2.7 --ipa.config-dir=/etc/ironic-python-agent.d \
    > /tmp/log 2>&1 || true
grep -q 192.0.2.7 /etc/ironic-python-agent.d/zz-ipa-sidecar.conf || { cat /tmp/log >&2; false; }
echo '[DEFAULT]' > /etc/ironic-python-agent.d/zz-other.conf
# The element takes both files out of the package
mkdir /tmp/hooks
get_image_element_array() { echo '[ipa-sidecar]=/usr/share/ipa-sidecar/dib/ipa-sidecar'; }
export -f get_image_element_array
DIB_IPA_SIDECAR_MODE=configure DIB_IPA_SIDECAR_RELEASE= TMP_HOOKS_PATH=/tmp/hooks \
    /usr/share/ipa-sidecar/dib/ipa-sidecar/extra-data.d/50-ipa-sidecar
cmp /tmp/hooks/ipa-sidecar /usr/bin/ipa-sidecar
cmp /tmp/hooks/ipa-sidecar.service /usr/lib/systemd/system/ipa-sidecar.service
