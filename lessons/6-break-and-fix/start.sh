#!/bin/bash
# Three faults, each with a value that only somebody who has looked at it can know.
mac=02$(for _ in 1 2 3 4 5; do printf ':%02x' $((RANDOM % 256)); done)
pool=lab-$((20 + RANDOM % 80))
port=$((6000 + RANDOM % 1000))
kubectl -n metallb-system patch l2advertisement lab --type merge --patch '{"spec":{"ipAddressPools":["'"$pool"'"]}}'
kubectl patch service iperf3-server-tcp --type json \
  --patch '[{"op":"replace","path":"/spec/ports/0/targetPort","value":'"$port"'}]'
# shellcheck disable=SC2016 # expanded on the client
remember='card=$(ip -o -4 address show to "$1" | cut -d " " -f 2)
ip neigh replace "$2" lladdr "$3" nud permanent dev "$card"'
on "$CLIENT" sudo sh -c "$remember" remember "$CLIENT_ADDRESS" "$VIP" "$mac"
echo "FAULT_MAC=$mac"
echo "FAULT_POOL=$pool"
echo "FAULT_PORT=$port"
