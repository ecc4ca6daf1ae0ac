#!/bin/bash
# A host for the tests, in a second: the tree of root.sh below a layer of its own, with its own
# processes, mounts, name and network, and an sshd. Needs root and iproute2.
#
# usage: host.sh FOLDER ROOT     FOLDER must be empty; it gets `id_ed25519` and `known_hosts`
#
# Prints `ADDRESS LINK PID`: where it listens, the interface on this side (setting it down cuts the
# host off), and its first process, for nsenter. It lives until standard input ends: all that it is
# made of belongs to that one process, so nothing stays behind, however the caller ends.
#
# Users: root, deploy (sudo without a password), carol (sudo with the password s3cret).
set -eu
folder=$1 tree=$2
root=$folder/root

die() {
    [ ! -e "$folder/log" ] || tail -n 5 "$folder/log" >&2
    echo "host.sh: $*" >&2
    exit 1
}

mkdir -p "$folder/up" "$folder/work" "$root"
ssh-keygen -q -t ed25519 -N '' -f "$folder/id_ed25519"
cat >"$folder/inside.sh" <<'END'
# The first process of the host; the network is put in by the process outside.
set -eu
folder=$1 tree=$2 root=$1/root
mount -t overlay test-host -o "lowerdir=$tree,upperdir=$folder/up,workdir=$folder/work" "$root"
for home in /root /home/deploy /home/carol; do
    mkdir -p "$root$home/.ssh"
    cp "$folder/id_ed25519.pub" "$root$home/.ssh/authorized_keys"
    chown -R --reference="$root$home" "$root$home/.ssh"
    chmod 700 "$root$home/.ssh"
done
ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/ssh_host_ed25519_key"
printf 'UseDNS no\nMaxStartups 200:30:400\n' >"$root/etc/ssh/sshd_config.d/tests.conf"
echo '127.0.0.1 localhost test-host' >"$root/etc/hosts"
echo test-host >"$root/etc/hostname"
: >"$root/etc/resolv.conf"
hostname test-host
mkdir -p "$root/.old"
cd "$root"
pivot_root . .old
exec chroot . /bin/sh -s <<'START'
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 dev /dev
mkdir /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${n%:*}" "/dev/${n#*:}"; done
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 fuse:10:229; do
    name=${node%%:*} numbers=${node#*:}
    mknod -m 666 "/dev/$name" c "${numbers%:*}" "${numbers#*:}"
done
mkdir -p /run/sshd /run/lock
umount -l /.old
rmdir /.old
/usr/sbin/sshd -D -e </dev/null 9<&- >/var/log/sshd.log 2>&1 &
# The end of this input is the end of the host; waiting for it also collects orphans.
cat <&9 >/dev/null
START
END

exec 9<&0
unshare --mount --pid --net --uts --ipc --fork --kill-child \
    bash "$folder/inside.sh" "$folder" "$tree" 9<&9 >"$folder/log" 2>&1 </dev/null &
outer=$!
trap 'kill -9 $outer 2>/dev/null || :' EXIT
own=$(readlink /proc/self/ns/net)
for _ in $(seq 100); do
    net=$(readlink "/proc/$outer/ns/net" 2>/dev/null || :)
    [ -z "$net" ] || [ "$net" = "$own" ] || break
    sleep 0.02
done
[ "${net:-$own}" != "$own" ] || die "no namespaces: $(cat "$folder/log")"

# The first number that no other host has.
link='' address=''
for n in $(seq 250); do
    if ip link add "rplay$n" type veth peer name eth0 netns "$outer" 2>>"$folder/log"; then
        link=rplay$n address=198.18.$n.2
        break
    fi
done
[ -n "$link" ] || die "cannot make a network interface"
ip addr add "198.18.$n.1/30" dev "$link"
ip link set "$link" up
nsenter -t "$outer" -n sh -c "ip link set lo up && ip addr add $address/30 dev eth0 && ip link set eth0 up"

greeting=''
for _ in $(seq 200); do
    [ -e "/proc/$outer" ] || die "the host ended"
    { read -t 1 -r greeting <"/dev/tcp/$address/22"; } 2>/dev/null && [[ $greeting == SSH-* ]] && break
    sleep 0.05
done
[[ $greeting == SSH-* ]] || die "no answer from its sshd"
first=$(cat "/proc/$outer/task/$outer/children")
echo "$address $(cut -d' ' -f1,2 "/proc/${first% }/root/etc/ssh/ssh_host_ed25519_key.pub")" >"$folder/known_hosts"
echo "$address $link ${first% }"
wait "$outer" || :
