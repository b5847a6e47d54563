#!/bin/bash
sed "s/192\.168\.96\.70/$VIP/" manifests/iperf3/service-udp.yaml | kubectl apply -f -
