#!/bin/sh
# What starts at boot. containerd and kubelet wait for their conditions; see the units.
set -eu

for unit in containerd.service kubelet.service metallab-podnet.service; do
    if [ "$(systemctl is-enabled "$unit" 2>/dev/null || true)" != enabled ]; then
        echo "changed: $unit enabled"
        systemctl --quiet enable "$unit"
    fi
done
