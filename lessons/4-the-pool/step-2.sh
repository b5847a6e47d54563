#!/bin/bash
kubectl apply -f - <<YAML
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: more
  namespace: metallb-system
spec:
  addresses: ["$MORE"]
YAML
