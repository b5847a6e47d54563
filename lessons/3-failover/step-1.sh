#!/bin/bash
# shellcheck disable=SC2086 # names of nodes, one a word
echo "the announcer is $(bash lessons/election "$VIP" $NODES)"
# shellcheck disable=SC2086
bash lessons/election "$VIP" ${NODES/$ANNOUNCER/}
