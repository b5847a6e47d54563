#!/bin/bash
entry=$(on "$CLIENT" ip neigh show to "$VIP")
if [[ $entry == *PERMANENT* ]]; then
  card=$(sed -n 's/.* dev \([^ ]*\).*/\1/p' <<<"$entry")
  on "$CLIENT" sudo ip neigh del "$VIP" dev "$card" >&2
fi
sed -n 's/.* lladdr \([^ ]*\).*/\1/p' <<<"$entry"
