#!/bin/sh
# mmdebstrap runs this beside the finished chroot ($1): the provision scripts inside it, with the bundle mounted.
# Mounts live in mmdebstrap's own mount namespace, so nothing stays behind even when it is killed.
#
#   METALLAB_BUNDLE_DIR   the bundle on this host, or empty to make a root without the programs of a node
#   METALLAB_PAUSE_IMAGE  reference of the pods' sandbox image, or empty
set -eu
root=$1
provision=$(cd "$(dirname "$0")/.." && pwd)

mounted=
release() {
    for point in $mounted; do
        umount "$root$point"
        rmdir "$root$point"
    done
}
show() { # FROM POINT
    mkdir "$root$2"
    mount --bind "$1" "$root$2"
    mounted="$mounted $2"
}
trap release EXIT

show "$provision" /metallab-provision
inside=
if [ -n "${METALLAB_BUNDLE_DIR:-}" ]; then
    show "$METALLAB_BUNDLE_DIR" /metallab-bundle
    inside=/metallab-bundle
fi

chroot "$root" env -i \
    METALLAB_STAGE=root METALLAB_BUNDLE_DIR="$inside" METALLAB_PAUSE_IMAGE="${METALLAB_PAUSE_IMAGE:-}" \
    /metallab-provision/run
