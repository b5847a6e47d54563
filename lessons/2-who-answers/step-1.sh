#!/bin/bash
bash lessons/who-has "$VIP"
