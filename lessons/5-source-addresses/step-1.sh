#!/bin/bash
address=$(learner get service echo-cluster --output 'jsonpath={.status.loadBalancer.ingress[0].ip}')
seen=$(on "$CLIENT" sh -c "printf clientip | nc -u -w 2 $address 5202")
echo "${seen%:*}"
