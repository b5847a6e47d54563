#!/bin/bash
# shellcheck disable=SC2016 # awk's own variables
on "$CLIENT" awk \
  '$2 != "-" { if (last && $1 - last > gap) gap = $1 - last; last = $1 } END { printf "%.1f\n", gap }' \
  /run/metallab-lesson/arp.log
