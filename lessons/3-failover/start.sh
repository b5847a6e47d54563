#!/bin/bash
# Let the control plane announce, too, so that there are three candidates; keep the server off the node that will fail;
# record on the client who answers.
label=node.kubernetes.io/exclude-from-external-load-balancers
kubectl label --overwrite node "$CONTROL_PLANE" "$label-"
# shellcheck disable=SC2086 # names of nodes, one a word
announcer=$(bash lessons/election "$VIP" $NODES)
# shellcheck disable=SC2086,SC2001
successor=$(bash lessons/election "$VIP" ${NODES/$announcer/})
home=
for worker in $WORKERS; do
  if [[ $worker != "$announcer" ]]; then
    home=$worker
  fi
done
patch='{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"'"$home"'"}}}}}'
kubectl patch deployment iperf3-server --patch "$patch"
kubectl rollout status deployment/iperf3-server --timeout=120s
on "$CLIENT" sudo systemd-run --quiet --collect --unit=metallab-lesson-recorder \
  --property=RuntimeMaxSec=2h bash -c "$(cat lessons/3-failover/recorder)" recorder "$CLIENT_ADDRESS" "$VIP"
echo "ANNOUNCER=$announcer"
echo "SUCCESSOR=$successor"
