#!/bin/sh
# The user Vagrant logs in as. No password: only a key gets in, and sudo asks for none (files/etc/sudoers.d/vagrant).
set -eu

if ! id vagrant >/dev/null 2>&1; then
    echo "changed: user vagrant"
    useradd --uid 1000 --user-group --create-home --shell /bin/bash vagrant
fi
case "$(passwd --status vagrant)" in
"vagrant L"*) ;;
*)
    echo "changed: password of vagrant locked"
    passwd --quiet --lock vagrant
    ;;
esac
