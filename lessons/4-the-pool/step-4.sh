#!/bin/bash
kubectl -n metallb-system patch ipaddresspool more --type merge --patch '{"spec":{"autoAssign":false}}'
kubectl apply -f - <<YAML
apiVersion: v1
kind: Service
metadata:
  name: pinned
  namespace: lesson
  annotations:
    metallb.io/loadBalancerIPs: $PINNED
spec:
  type: LoadBalancer
  selector:
    app: echo
  ports:
    - {name: echo, protocol: UDP, port: 5202, targetPort: 8081}
YAML
