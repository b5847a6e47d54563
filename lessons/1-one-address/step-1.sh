#!/bin/bash
kubectl apply -f manifests/iperf3/deployment.yaml
sed "s/192\.168\.96\.70/$VIP/" manifests/iperf3/service-tcp.yaml | kubectl apply -f -
kubectl rollout status deployment/iperf3-server --timeout=120s
