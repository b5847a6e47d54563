#!/bin/bash
wrong=$(kubectl -n metallb-system get l2advertisement lab --output 'jsonpath={.spec.ipAddressPools[0]}')
kubectl -n metallb-system patch l2advertisement lab --type merge --patch '{"spec":{"ipAddressPools":["lab"]}}' >&2
echo "$wrong"
