#!/bin/bash
label=node.kubernetes.io/exclude-from-external-load-balancers
nodes=$(kubectl get nodes --selector "!$label" --output 'jsonpath={.items[*].metadata.name}')
# shellcheck disable=SC2086 # names of nodes, one a word
here=$(bash lessons/election "$VIP" $nodes)
address=$POOL_FIRST
# shellcheck disable=SC2086
while [[ $address == "$VIP" || $(bash lessons/election "$address" $nodes) == "$here" ]]; do
  address=${address%.*}.$((${address##*.} + 1))
done
echo "$address"
