#!/bin/sh
# Measures each kind of work without a daemon, then beside one without its probes, one with them, and one that does not see
# the kernel's types, in turns. Sight looks at packets only for an API over http: that is not measured here.
export PATH=/bin
export CARGO_MANIFEST_DIR=/tmp/lab # The lab goes to the directory above.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
ip link set lo up
sleep 5 # What a kernel still does after its start.
for work in failing successful getppid; do lab work $work >/dev/null; done # Caches, slabs, port tables.
for round in ROUNDS; do
    sleep 1
    for work in failing successful getppid; do
        echo "== $work none $(lab work $work)"
    done
    for kind in off typed untyped; do
        probes=auto
        [ $kind != off ] || probes=off
        [ $kind != untyped ] || mount -t tmpfs none /sys/kernel/btf
        ipa-sidecar run --no-vmedia --cmdline.path=/dev/null --web.listen-address=127.0.0.1:10099 \
            --ironic.api-url=https://192.0.2.1:6385 --probe.connect=$probes >/tmp/log 2>&1 &
        daemon=$!
        until grep -q generation= /tmp/log; do sleep 0.1; done
        while wget -q -O - http://127.0.0.1:10099/state | grep -q not_yet; do sleep 0.1; done
        sleep 1
        for work in failing successful getppid; do
            echo "== $work $kind $(lab work $work)"
        done
        wget -q -O - http://127.0.0.1:10099/metrics | grep -E '^ipa_sidecar_probe_path_info.*probe="connect"' | sed 's/^/== path /'
        kill $daemon
        wait $daemon
        [ $kind != untyped ] || umount /sys/kernel/btf
    done
done
poweroff -f
