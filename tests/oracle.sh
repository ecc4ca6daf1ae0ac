#!/bin/sh
# Prints the path of the reference `ansible-playbook`, installing it on first use.
#
# $RPLAY_ORACLE names one that is there already. Otherwise ansible-core goes into a virtual
# environment of its own below the user's cache; it needs Python 3.12 or newer.
set -eu
version=2.21.5
if [ -n "${RPLAY_ORACLE:-}" ]; then
    echo "$RPLAY_ORACLE"
    exit
fi
home=${XDG_CACHE_HOME:-$HOME/.cache}/rplay-oracle
if [ ! -x "$home/bin/ansible-playbook" ]; then
    for python in python3.14 python3.13 python3.12 python3; do
        command -v "$python" >/dev/null || continue
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' && break
        python=
    done
    [ -n "$python" ] || { echo "oracle: ansible-core $version needs Python 3.12 or newer" >&2; exit 2; }
    "$python" -m venv "$home" >&2
fi
# `ansible` brings the collections of which rplay has modules; the others are what its modules need.
# What is installed is remembered: somebody else may have made the environment.
needs="ansible-core==$version ansible==14.5.0 passlib netaddr jmespath pexpect lxml python-debian kubernetes docker requests"
if [ "$(cat "$home/rplay-needs" 2>/dev/null)" != "$needs" ]; then
    # shellcheck disable=SC2086
    "$home/bin/pip" install -q $needs >&2
    echo "$needs" >"$home/rplay-needs"
fi
echo "$home/bin/ansible-playbook"
