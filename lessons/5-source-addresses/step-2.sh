#!/bin/bash
learner apply -f - <<YAML
apiVersion: v1
kind: Service
metadata:
  name: echo-local
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector:
    app: echo
  ports:
    - {name: echo, protocol: UDP, port: 5202, targetPort: 8081}
YAML
