#!/bin/bash
# Gets a container engine for the tests: Debian trixie's dockerd, containerd, runc, the `docker` program
# and its Compose, unpacked into a folder; nothing is installed. Needs root and apt-get.
#
# usage: engine.sh FOLDER     makes FOLDER/engine unless it is there; prints its path
#
# The packages come from the mirror and through the proxy that this machine's apt is set up with.
set -eu
folder=$(realpath -m "$1")
root=$folder/engine log=$folder/engine.log
stamp=$(sha256sum "$0" | cut -d' ' -f1)
mkdir -p "$folder"
exec 9>"$folder/engine.lock"
flock 9
if [ "$(cat "$root/.built" 2>/dev/null)" = "$stamp" ]; then
    echo "$root"
    exit 0
fi
die() {
    [ ! -e "$log" ] || tail -n 4 "$log" >&2
    echo "engine.sh: $*" >&2
    exit 1
}
. /etc/os-release
packages=()
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v release="${VERSION_CODENAME:-none}" '$2 == release && $3 == "main" { print $1; exit }')
[ "${ID:-}" = debian ] && [ -n "$mirror" ] || die "apt names no mirror of Debian here"
rm -rf "$root"
mkdir -p "$root"/apt/{lists/partial,archives/partial}
for suite in trixie "$VERSION_CODENAME"; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done | sort -u >"$root/apt/sources.list"
# Lists, sources and archives of its own: what this machine has installed only says what need not be fetched.
apt() {
    apt-get -q -o "Dir::Etc::SourceList=$root/apt/sources.list" -o Dir::Etc::SourceParts=- -o Dir::Etc::Preferences=- \
        -o Dir::Etc::PreferencesParts=- -o "Dir::State::Lists=$root/apt/lists" -o "Dir::Cache=$root/apt" \
        -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root \
        "$@" >>"$log" 2>&1 </dev/null
}
: >"$log"
apt update || die "no list of packages"
cd "$root/apt/archives"
for name in docker.io docker-cli docker-compose docker-buildx docker-registry containerd tini busybox-static; do
    packages+=("$name/trixie")
done
# What trixie has needs a C library of 2.34; only its runc needs a newer one.
apt download "${packages[@]}" "runc/$VERSION_CODENAME" || die "no packages"
for package in ./*.deb; do dpkg-deb -x "$package" "$root"; done
rm -rf "$root/apt" "$root/usr/share"
for program in bin/containerd bin/docker sbin/dockerd sbin/runc; do
    "$root/usr/$program" --version >>"$log" 2>&1 || die "${program#*/} does not run here"
done
echo "$stamp" >"$root/.built"
echo "$root"
