#!/bin/bash
on "$ANNOUNCER" sudo systemctl stop kubelet
on "$ANNOUNCER" sudo pkill -KILL -x speaker || true
