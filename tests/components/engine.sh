#!/bin/bash
# Gets container engines for the tests: Debian trixie's dockerd, containerd, runc, the `docker` program
# and its Compose, and this Debian's Podman, unpacked into a folder; nothing is installed. Needs root and apt-get.
# FOLDER/engine/new is the same with sid's dockerd, `docker` and Compose, which are a generation younger.
#
# usage: engine.sh FOLDER     makes FOLDER/engine unless it is there; prints its path
set -eu
. "$(dirname "$0")/packages.sh"
component "$(realpath -m "$1")" engine
. /etc/os-release
names=(docker.io docker-cli docker-compose docker-buildx docker-registry containerd tini busybox-static)
# What trixie has needs a C library of 2.34; only its runc, and its Podman, need a newer one.
own=(runc podman conmon libsubid4)
packages "${names[@]/%//trixie}" "${own[@]/%//${VERSION_CODENAME:-none}}"
rm -rf "$root/usr/share"
for program in bin/containerd bin/docker sbin/dockerd sbin/runc; do
    "$root/usr/$program" --version >>"$log" 2>&1 || die "${program#*/} does not run here"
done
# What sid has of the rest needs a newer C library: the young engine shares it with the other one. A program that both
# share is not written to: unpacking puts another file in its place. Sid moves on; without this one there is no young one.
mkdir "$root/new"
cp -al "$root/usr" "$root/new/usr"
names=(docker.io docker-cli docker-compose docker-buildx)
young() {
    (root=$root/new && packages "${names[@]/%//sid}") && rm -rf "$root/new/usr/share" &&
        "$root/new/usr/sbin/dockerd" --version && "$root/new/usr/bin/docker" --version &&
        "$root/new/usr/bin/docker-compose" version --short | grep '^2\.40\.'
}
young >>"$log" 2>&1 || rm -rf "$root/new"
finished
