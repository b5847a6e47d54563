#!/bin/sh
# Only in a golden root: leave nothing in it that belongs to one machine, to the host it was made on, or to a log.
set -eu
[ "$METALLAB_STAGE" = root ] || exit 0

# Empty, not absent: each machine makes its own at its first boot, and the boot does not count as a factory reset.
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed
# Consoles belong to a provider; a system container has none.
systemctl --quiet mask getty.target console-getty.service
# Machines download nothing, and no package host of the maker's is to be found in them.
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
: >/etc/resolv.conf
rm -f /etc/hostname
find /var/log -type f -delete
mkdir -p /var/log/journal
