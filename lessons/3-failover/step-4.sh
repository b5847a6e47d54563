#!/bin/bash
on "$ANNOUNCER" sudo systemctl start kubelet
kubectl -n metallb-system rollout status daemonset/speaker --timeout=120s
