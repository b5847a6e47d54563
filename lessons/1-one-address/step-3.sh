#!/bin/bash
kubectl delete service iperf3-server-tcp --ignore-not-found >&2
bash lessons/who-has "$VIP"
