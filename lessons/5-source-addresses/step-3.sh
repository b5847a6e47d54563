#!/bin/bash
other=
for worker in $WORKERS; do
  if [[ $worker != "$SERVER_NODE" ]]; then
    other=$worker
  fi
done
patch='{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"'"$other"'"}}}}}'
learner patch deployment echo --patch "$patch"
learner rollout status deployment/echo --timeout=120s
