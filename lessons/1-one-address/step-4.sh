#!/bin/bash
sed "s/192\.168\.96\.70/$VIP/" manifests/iperf3/service-tcp.yaml | kubectl apply -f -
