#!/bin/bash
# Puts Environment Modules (the ones in Tcl and C) in the place of Lmod, as a layer above the tree of root.sh. The packages
# are unpacked, nothing is installed. Needs root and apt-get.
#
# usage: modules.sh FOLDER     FOLDER is root.sh's; makes FOLDER/modules unless it is there; prints its path
set -eu
. "$(dirname "$0")/packages.sh"
component "$(realpath -m "$1")" modules
names=(environment-modules tcl8.6 libtcl8.6 libtommath1 less)
packages "${names[@]/%//trixie}"
rm -rf "$root"/usr/share/{doc,man,lintian}
# Lmod is not there: a device of these numbers hides what lies below.
for hidden in etc/profile.d/lmod.sh usr/share/lmod; do
    mkdir -p "$root/$(dirname "$hidden")"
    mknod "$root/$hidden" c 0 0
done
# `module` is there in every bash, as in the tree below.
echo 'export MODULEPATH=/opt/modules
. /usr/share/modules/init/bash' >"$root/etc/bash.bashrc"
mkdir -p "$root/opt/modules/singularity" "$root/opt/modules/tool"
mknod "$root/opt/modules/singularity/4.1.0-slurm.lua" c 0 0
cat >"$root/opt/modules/singularity/4.1.0-slurm" <<'END_OF_MODULE'
#%Module
module-whatis "Name: singularity"
prepend-path PATH /opt/singularity/bin
setenv SINGULARITY_NOHTTPS 1
END_OF_MODULE
# One with several versions, a default, a name of its own, a variant, and what it needs.
for version in 1.0 2.0; do
    cat >"$root/opt/modules/tool/$version" <<END_OF_MODULE
#%Module5.1
variant --boolean --default off debug
prereq singularity
setenv TOOL_VERSION $version
setenv TOOL_DEBUG [getvariant debug]
set-alias tool "echo tool"
END_OF_MODULE
done
printf '#%%Module\nmodule-version tool/1.0 default stable\n' >"$root/opt/modules/tool/.modulerc"
printf '#%%Module\nmodule-alias hammer tool/2.0\n' >"$root/opt/modules/.modulerc"
printf '#%%Module\nsetenv HALF 1\nerror "no licence"\n' >"$root/opt/modules/broken"
finished
