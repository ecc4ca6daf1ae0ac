#!/bin/bash
# A host with nothing but busybox and dropbear, on a port of 127.0.0.1, from the layers of root.sh and login.sh.
# Needs root.
#
# usage: small.sh FOLDER COMPONENTS PORT     FOLDER must be empty; it gets `id_ed25519` and `known_hosts`
#
# Prints a line when it listens, and lives until standard input ends. The users are root and `small`, which
# has no home.
set -eu
folder=$1 components=$2 port=$3 root=$1/root
mkdir -p "$folder/from" "$root"/{bin,etc/dropbear,root/.ssh,proc,dev,tmp,lib64,usr}
chmod 1777 "$root/tmp"
chmod 755 "$folder" "$root"
ln -s bin "$root/sbin"
ln -s ../bin "$root/usr/bin"
ssh-keygen -q -t ed25519 -N '' -f "$folder/id_ed25519"
cp "$components/login/usr/bin/busybox" "$root/bin/busybox"
for name in $("$root/bin/busybox" --list); do [ -e "$root/bin/$name" ] || ln -s busybox "$root/bin/$name"; done
# Dropbear's libraries, found as the loader of that Debian finds them.
unshare --mount bash -eu <<END
mount -t overlay small -o lowerdir=$components/login:$components/hpc "$folder/from"
for file in \$(chroot "$folder/from" ldd /usr/sbin/dropbear | grep -o '/[^ ]*') /usr/sbin/dropbear /usr/bin/dropbearkey; do
    mkdir -p "$root\$(dirname \$file)"
    cp -L "$folder/from\$file" "$root\$file"
done
END
printf 'root:x:0:0::/root:/bin/sh\nsmall:x:1000:1000::/nonexistent:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nsmall:x:1000:\n' >"$root/etc/group"
printf 'root:*:1::::::\nsmall:*:1::::::\n' >"$root/etc/shadow"
printf '/bin/sh\n' >"$root/etc/shells"
cp "$folder/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
chmod -R go-w "$root/root"
exec 9<&0
unshare --mount --pid --fork --kill-child bash -eu <<END 9<&9 &
mount -t proc proc $root/proc
mount -t tmpfs -o mode=755 dev $root/dev
for node in null:1:3 zero:1:5 random:1:8 urandom:1:9 tty:5:0; do
    numbers=\${node#*:}
    mknod -m 666 $root/dev/\${node%%:*} c \${numbers%:*} \${numbers#*:}
done
mkdir $root/dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
chroot $root /usr/sbin/dropbear -R -F -E -p 127.0.0.1:$port </dev/null >$folder/log 2>&1 9<&- &
cat <&9 >/dev/null
END
outer=$!
trap 'kill -9 $outer 2>/dev/null || :' EXIT
for try in $(seq 100); do
    key=$(ssh-keyscan -p "$port" -t ed25519 127.0.0.1 2>/dev/null) && [ -n "$key" ] && break
    sleep 0.1
done
[ -n "$key" ] || { tail -n 3 "$folder/log" >&2; echo "small.sh: no answer" >&2; exit 1; }
echo "$key" >"$folder/known_hosts"
echo ready
wait "$outer" || :
