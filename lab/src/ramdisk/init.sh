#!/bin/sh
# A ramdisk without systemd: ipa-sidecar starts first, then everything comes late: drives, NICs, DHCP.
export PATH=/sbin:/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo "userspace after $(cut -d ' ' -f 1 /proc/uptime) s, Linux $(uname -r)"
word() { for word in $(cat /proc/cmdline); do case $word in "$1"=*) echo "${word#*=}" ;; esac; done; }

mkdir -p /etc/ironic-python-agent.d # As in every ramdisk with IPA.
ip link set lo up
insert() { while read -r module; do insmod "/modules/$module"; done <"/modules/$1"; }
[ "$(word test.mode)" = guard ] && insert diag # The other modes do without.
initramfs-ipa-sidecar start --mode="$(word test.mode)" --web.listen-address=0.0.0.0:10099 --log.level=debug

sleep 1
insert order
httpd -p 9999 -h /tmp # Where IPA would listen.
sleep 1
for nic in /sys/class/net/eth*; do
    ip link set "${nic##*/}" up
    udhcpc -i "${nic##*/}" -b -t 30 -T 1 -s /bin/udhcpc-script >/dev/null
done

. /shell
