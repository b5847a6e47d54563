#!/bin/bash
./inv lab.ssh "$ANNOUNCER" -- sudo systemctl start kubelet
./inv kubectl -- -n metallb-system rollout status daemonset/speaker --timeout=120s
