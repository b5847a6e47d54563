#!/bin/bash
other=
for worker in $WORKERS; do
  if [[ $worker != "$SERVER_NODE" ]]; then
    other=$worker
  fi
done
patch='{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"'"$other"'"}}}}}'
./inv lesson.kubectl -- patch deployment echo --patch "$patch"
./inv lesson.kubectl -- rollout status deployment/echo --timeout=120s
