#!/bin/bash
# Adds ways to log in and to become somebody to the tree of root.sh, as a layer above it: doas, sudo-rs,
# csh, fish, busybox and dropbear, of the same Debian. Needs root.
#
# usage: login.sh FOLDER     FOLDER is root.sh's; builds FOLDER/login unless it is there; prints its path
set -eu
folder=$(realpath "$1")
layer=$folder/login log=$folder/login.log
[ -e "$folder/hpc/.built" ] || { echo "login.sh: needs the tree of root.sh" >&2; exit 1; }
stamp=$(cat "$0" "$folder/hpc/.built" | sha256sum | cut -d' ' -f1)
exec 9>"$folder/lock"
flock 9
if [ "$(cat "$layer/.built" 2>/dev/null)" = "$stamp" ]; then
    echo "$layer"
    exit 0
fi
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
export http_proxy=${http_proxy-} https_proxy=${https_proxy-}
[ -n "$http_proxy" ] || unset http_proxy
[ -n "$https_proxy" ] || unset https_proxy
rm -rf "$layer" "$folder/login.work" "$folder/login.root"
mkdir -p "$layer" "$folder/login.work" "$folder/login.root"
export layer folder
# The mount is this script's own, and ends with it.
unshare --mount bash -eu >"$log" 2>&1 <<'END' || { tail -n 4 "$log" >&2; echo "login.sh: failed" >&2; exit 1; }
cd "$folder/login.root"
mount -t overlay login -o "lowerdir=$folder/hpc,upperdir=$layer,workdir=$folder/login.work" .
cd "$folder/login.root"
cp /etc/resolv.conf /etc/hosts etc/
in_root() { chroot . env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@" </dev/null; }
in_root apt-get -q -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=3 update
in_root apt-get -q install -y --no-install-recommends opendoas sudo-rs tcsh fish busybox-static dropbear-bin locales
sed -i 's/^# *de_DE.UTF-8/de_DE.UTF-8/' etc/locale.gen
in_root locale-gen
rm -rf var/lib/apt/lists/* var/cache/apt/*.bin var/cache/apt/archives/*.deb usr/share/doc usr/share/man
END
rmdir "$folder/login.root"
rm -rf "$folder/login.work"
echo "$stamp" >"$layer/.built"
echo "$layer"
