"""From machines to a cluster that serves: kubeadm, the pod network, MetalLB and the example."""
