# Runs a program so that nothing it does reaches this machine's disks or power. Arguments: the directory that it may
# write to, which holds the rest (bin, cmdline, perhaps hosts and resolv.conf); then the program and its arguments.
# Comes in the network namespace, in a mount namespace of its own.
set -eu
directory=$1
shift
mount --make-rprivate /
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs /sys # Shows the NICs of this namespace, and can be changed by nobody.
mount -t tmpfs -o size=1m,mode=755 none /dev        # No block devices.
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/zero c 1 5
mknod -m 444 /dev/random c 1 8
mknod -m 444 /dev/urandom c 1 9
mkdir /dev/shm
if [ -e /proc/sysrq-trigger ]; then mount --bind /dev/null /proc/sysrq-trigger; fi
mount --bind "$directory/cmdline" /proc/cmdline
mount -t tmpfs -o size=16m,mode=755 none /run # IPA puts its certificate here.
for name in hosts resolv.conf; do
    if [ -e "$directory/$name" ]; then
        target=$(readlink -f "/etc/$name")
        case $target in /run/*) mkdir -p "${target%/*}" && : >"$target" ;; esac # It has just been covered.
        mount --bind "$directory/$name" "$target"
    fi
done
mount --bind "$directory" "$directory" # Stays writable, the rest does not.
mount -o remount,bind,ro /
cd "$directory"
echo $$ >pid.new
mv pid.new pid
# It keeps what `ip` needs. env -i: neither a proxy nor a Python path of whoever runs the test.
exec setpriv --bounding-set=-mknod,-sys_admin,-sys_boot,-sys_module,-sys_rawio,-sys_time -- \
    env -i PATH="$directory/bin" HOME="$directory" TMPDIR="$directory" LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 "$@"
