#!/bin/bash
# Builds the root tree of the test hosts: Debian trixie with sshd, sudo, Lmod, Apptainer (which only
# sid has) and a registry for container images; no Python. Needs root and debootstrap.
#
# usage: root.sh FOLDER     builds FOLDER/hpc unless it is there; prints its path
#
# The packages come from the mirror and through the proxy that this machine's apt is set up with.
set -eu
folder=$(realpath -m "$1")
root=$folder/hpc log=$folder/hpc.log
# Another version of this script makes another tree.
stamp=$(sha256sum "$0" | cut -d' ' -f1)
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
if [ "$(cat "$root/.built" 2>/dev/null)" = "$stamp" ]; then
    echo "$root"
    exit 0
fi

die() {
    [ ! -e "$log" ] || tail -n 4 "$log" >&2
    echo "root.sh: $*" >&2
    exit 1
}
in_root() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@" >>"$log" 2>&1 </dev/null; }

. /etc/os-release
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v release="${VERSION_CODENAME:-none}" '$2 == release && $3 == "main" { print $1; exit }')
[ "${ID:-}" = debian ] && [ -n "$mirror" ] || die "apt names no mirror of Debian here"
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
export http_proxy=${http_proxy-} https_proxy=${https_proxy-}
[ -n "$http_proxy" ] || unset http_proxy
[ -n "$https_proxy" ] || unset https_proxy

rm -rf "$root"
debootstrap --variant=minbase --include=openssh-server,sudo,procps,ca-certificates \
    trixie "$root" "$mirror" >"$log" 2>&1 </dev/null || die "debootstrap failed"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
echo "deb $mirror sid main" >"$root/etc/apt/sources.list.d/sid.list"
printf 'Package: *\nPin: release n=sid\nPin-Priority: 30\n' >"$root/etc/apt/preferences.d/sid"
# A mirror that is a copy may be past the date its lists carry.
in_root apt-get -q -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=3 update || die "apt-get update failed"
in_root apt-get -q install -y --no-install-recommends lmod docker-registry skopeo squashfuse fuse-overlayfs ||
    die "could not install lmod and docker-registry"
in_root apt-get -q install -y --no-install-recommends apptainer/sid || die "could not install apptainer"

# Apptainer asks for every capability when root runs it, and root in a container has not all of them.
sed -i 's/^root default capabilities.*/root default capabilities = no/' "$root/etc/apptainer/apptainer.conf"
# As on a supercomputer, `singularity` is there once its module is loaded, and `module` in every bash,
# also in one that is not a login shell.
mkdir -p "$root/opt/singularity/bin" "$root/opt/modules/singularity"
rm -f "$root/usr/bin/singularity"
ln -s /usr/bin/apptainer "$root/opt/singularity/bin/singularity"
cat >"$root/opt/modules/singularity/4.1.0-slurm.lua" <<'END'
whatis("Name: singularity")
prepend_path("PATH", "/opt/singularity/bin")
-- The registry of the tests speaks plain HTTP.
setenv("SINGULARITY_NOHTTPS", "1")
END
sed -i '1i export MODULEPATH_ROOT=/opt MODULEPATH=/opt/modules\n. /etc/profile.d/lmod.sh' "$root/etc/bash.bashrc"
for name in deploy carol; do
    chroot "$root" useradd -m -s /bin/bash "$name"
    mkdir -p "$root/software/projects/$name"
    chroot "$root" chown "$name:" "/software/projects/$name"
done
echo 'carol:s3cret' | chroot "$root" chpasswd
printf 'deploy ALL=(ALL) NOPASSWD: ALL\ncarol ALL=(ALL) ALL\n' >"$root/etc/sudoers.d/tests"
chmod 440 "$root/etc/sudoers.d/tests"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb \
    "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/etc/ssh/ssh_host_*
echo "$stamp" >"$root/.built"
echo "$root"
