"""A bare-metal load-balancing lab: kubeadm machines, MetalLB and an iperf3 proof from one command."""
