# shellcheck shell=sh
# Login shells of ordinary users leave sbin out; nft, conntrack and sysctl lie there.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
