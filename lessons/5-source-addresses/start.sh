#!/bin/bash
# Keep where the server runs at the start.
node=$(kubectl -n lesson get pods --selector app=echo --output 'jsonpath={.items[0].spec.nodeName}')
echo "SERVER_NODE=$node"
