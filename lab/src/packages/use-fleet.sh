# Both examples can be used: no Ironic is here, so the look ends with 2
mkdir /etc/ipa-fleet
(umask 077; echo secret > /etc/ipa-fleet/password)
install -m 600 /usr/share/doc/ipa-fleet/examples/ipa-fleet.env /etc/ipa-fleet.env
code=0; ipa-fleet check --config.file=/usr/share/doc/ipa-fleet/examples/ipa-fleet.toml > /dev/null 2>&1 || code=$?
test $code = 2
code=0
(set -a; . /etc/ipa-fleet.env; ipa-fleet check --ironic.password-file=/etc/ipa-fleet/password) > /dev/null 2>&1 || code=$?
test $code = 2
