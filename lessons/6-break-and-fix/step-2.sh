#!/bin/bash
wrong=$(./inv kubectl -- -n metallb-system get l2advertisement lab --output 'jsonpath={.spec.interfaces[0]}')
node=${NODES%% *}
card=$(./inv lab.ssh "$node" -- ip -o -4 route show to match "$VIP" table main | sed -n 's/.* dev \([^ ]*\).*scope link.*/\1/p')
./inv kubectl -- -n metallb-system patch l2advertisement lab --type merge --patch '{"spec":{"interfaces":["'"$card"'"]}}'
echo "$wrong"
