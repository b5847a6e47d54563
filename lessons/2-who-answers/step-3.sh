#!/bin/bash
address=$(bash -euo pipefail lessons/2-who-answers/step-2.sh)
kubectl apply -f - <<YAML
apiVersion: v1
kind: Service
metadata:
  name: elsewhere
  namespace: lesson
  annotations:
    metallb.io/loadBalancerIPs: $address
spec:
  type: LoadBalancer
  selector:
    app: echo
  ports:
    - {name: echo, protocol: UDP, port: 5202, targetPort: 8081}
YAML
