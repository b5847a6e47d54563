#!/bin/bash
for name in one two; do
  kubectl -n lesson get service "$name" >/dev/null 2>&1 ||
    kubectl -n lesson expose deployment echo --name "$name" \
      --type LoadBalancer --protocol UDP --port 5202 --target-port 8081
  if [[ $name == one ]]; then
    kubectl -n lesson wait service one --for 'jsonpath={.status.loadBalancer.ingress}' --timeout=30s
  fi
done
reason=
for _ in {1..30}; do
  reason=$(kubectl -n lesson get events --field-selector involvedObject.name=two \
    --output 'jsonpath={.items[0].reason}' 2>/dev/null || true)
  if [[ -n $reason ]]; then
    break
  fi
  sleep 1
done
echo "$reason"
