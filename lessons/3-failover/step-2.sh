#!/bin/bash
./inv lab.ssh "$ANNOUNCER" -- sudo systemctl stop kubelet
./inv lab.ssh "$ANNOUNCER" -- sudo pkill -KILL -x speaker || true
