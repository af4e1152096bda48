#!/bin/sh
# try-container.sh DIR: builds the image from DIR/reanimator with what is here, and runs it once.
set -eu
dir=$1
if docker info >/dev/null 2>&1; then
    docker build -q -t reanimator -f packaging/Containerfile "$dir"
    docker run --rm reanimator --version
elif command -v podman >/dev/null; then
    podman build -q -t reanimator -f packaging/Containerfile "$dir"
    podman run --rm reanimator --version
else
    tests/need.sh buildah
    image=$(buildah build --isolation chroot --layers=false -q -f packaging/Containerfile "$dir")
    container=$(buildah from "$image")
    trap 'buildah rm "$container" >/dev/null; buildah rmi "$image" >/dev/null' EXIT
    buildah run --isolation chroot "$container" -- /usr/bin/reanimator --version
fi
