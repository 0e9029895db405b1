#!/bin/sh
# What udhcpc calls: the address, and the default route of the first NIC before that of the second.
case $1 in
    bound | renew)
        ip addr replace "$ip/$mask" dev "$interface"
        [ -n "$router" ] && ip route replace default via "${router%% *}" dev "$interface" metric "10${interface#eth}"
        ;;
esac
exit 0
