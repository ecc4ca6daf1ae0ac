#!/bin/sh
# Builds ../image, the OCI image layout of the example, from demo.c: one image for each version,
# for amd64 and arm64. The same tools give the same bytes.
#
# Needs gcc, aarch64-linux-gnu-gcc, GNU tar and gzip:
#     ./build.sh 1.0.0 1.1.0
set -eu
cd "$(dirname "$0")"
layout=$PWD/../image created=2025-05-01T00:00:00Z
[ $# -gt 0 ] || { echo "usage: $0 VERSION..." >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$layout"
mkdir -p "$layout/blobs/sha256"

size() { wc -c < "$layout/blobs/sha256/$1" | tr -d ' '; }
digest() { sha256sum "$1" | cut -d' ' -f1; }

# Moves a file among the blobs and prints its digest.
blob() {
    hash=$(digest "$1")
    mv "$1" "$layout/blobs/sha256/$hash"
    echo "$hash"
}

# Prints a descriptor: media type, digest, and what else it says.
descriptor() {
    printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s%s}' \
        "$1" "$2" "$(size "$2")" "${3:-}"
}

# Prints the descriptor of the image of a version for an architecture.
image() {
    version=$1 arch=$2 compiler=$3
    tree=$work/$version-$arch
    mkdir -p "$tree/bin"
    "$compiler" -DVERSION="\"$version\"" -Os -static -nostdlib -ffreestanding -fno-stack-protector \
        -fno-asynchronous-unwind-tables -fno-pie -no-pie -Wl,-z,noseparate-code -Wl,--build-id=none \
        -Wl,-z,max-page-size=4096 -s -o "$tree/bin/demo" demo.c
    chmod 755 "$tree/bin" "$tree/bin/demo"
    tar --create --format=ustar --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="$created" --directory="$tree" --file="$work/layer" bin
    diff_id=$(digest "$work/layer")
    gzip --best --no-name "$work/layer"
    layer=$(blob "$work/layer.gz")
    printf '{"created":"%s","architecture":"%s","os":"linux","config":{"Env":["PATH=/bin","DEMO_VERSION=%s"],"Entrypoint":["/bin/demo"],"Labels":{"org.opencontainers.image.title":"demo","org.opencontainers.image.version":"%s"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$created" "$arch" "$version" "$version" "$diff_id" > "$work/config"
    config=$(blob "$work/config")
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
        "$(descriptor config.v1+json "$config")" "$(descriptor layer.v1.tar+gzip "$layer")" > "$work/manifest"
    manifest=$(blob "$work/manifest")
    descriptor manifest.v1+json "$manifest" ",\"platform\":{\"architecture\":\"$arch\",\"os\":\"linux\"}"
}

entries=
for version in "$@"; do
    amd64=$(image "$version" amd64 gcc)
    arm64=$(image "$version" arm64 aarch64-linux-gnu-gcc)
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s,%s]}' \
        "$amd64" "$arm64" > "$work/index"
    index=$(blob "$work/index")
    name=",\"annotations\":{\"org.opencontainers.image.ref.name\":\"$version\"}"
    entries="${entries:+$entries,}$(descriptor index.v1+json "$index" "$name")"
done
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}\n' "$entries" \
    > "$layout/index.json"
printf '{"imageLayoutVersion":"1.0.0"}\n' > "$layout/oci-layout"
