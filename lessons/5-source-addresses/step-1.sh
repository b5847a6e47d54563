#!/bin/bash
address=$(./inv lesson.kubectl -- get service echo-cluster --output 'jsonpath={.status.loadBalancer.ingress[0].ip}')
seen=$(./inv lab.ssh "$CLIENT" -- sh -c "printf clientip | nc -u -w 2 $address 5202")
echo "${seen%:*}"
