#!/bin/sh
# One host key for each machine, given by the lab. What the package made at install time must not be trusted: in a
# golden root every machine would have the same.
set -eu

remove() {
    for key in "$@"; do
        [ -e "$key" ] || continue
        echo "changed: $key removed"
        rm "$key"
    done
}

remove /etc/ssh/ssh_host_rsa_key* /etc/ssh/ssh_host_ecdsa_key* /etc/ssh/ssh_host_dsa_key*
if [ "$METALLAB_STAGE" = root ]; then
    remove /etc/ssh/ssh_host_ed25519_key*
fi
