#!/bin/bash
kubectl apply -f - <<YAML
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata:
  name: more
  namespace: metallb-system
spec:
  ipAddressPools: [more]
YAML
