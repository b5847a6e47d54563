#!/bin/sh
# No swap (the kubelet's limits mean nothing with it), no timers that want the network, no console logins.
set -eu

mask() {
    for unit in "$@"; do
        if [ "$(readlink "/etc/systemd/system/$unit")" = /dev/null ]; then
            continue
        fi
        echo "changed: $unit masked"
        systemctl --quiet mask "$unit"
    done
}

mask swap.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer man-db.timer motd-news.timer

if grep -qE '^[^#]+[[:space:]]swap[[:space:]]' /etc/fstab 2>/dev/null; then
    echo "changed: swap removed from /etc/fstab"
    sed -i -E '/^[^#]+[[:space:]]swap[[:space:]]/d' /etc/fstab
fi

if [ "$METALLAB_STAGE" = machine ] && [ -n "$(tail -n +2 /proc/swaps)" ]; then
    echo "changed: swap turned off"
    swapoff -a
fi
