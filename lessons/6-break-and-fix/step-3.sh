#!/bin/bash
wrong=$(kubectl get service iperf3-server-tcp --output 'jsonpath={.spec.ports[0].targetPort}')
kubectl patch service iperf3-server-tcp --type json \
  --patch '[{"op":"replace","path":"/spec/ports/0/targetPort","value":5201}]'
echo "$wrong"
