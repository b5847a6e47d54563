#!/bin/sh
# The programs of a node, from the bundle: containerd, runc, kubelet, kubeadm, kubectl and the CNI plugins.
set -eu

install_all() { # FROM TO
    for file in "$1"/*; do
        target="$2/${file##*/}"
        if cmp -s "$file" "$target" && [ -x "$target" ]; then
            continue
        fi
        echo "changed: $target"
        install -D -m 755 "$file" "$target"
    done
}

if [ -n "${METALLAB_BUNDLE_DIR:-}" ]; then
    install_all "$METALLAB_BUNDLE_DIR/bin" /usr/local/bin
    install_all "$METALLAB_BUNDLE_DIR/cni" /opt/cni/bin
fi

if [ -n "${METALLAB_PAUSE_IMAGE:-}" ]; then
    config=/etc/containerd/conf.d/pause.toml
    wanted=$(printf '[plugins."io.containerd.cri.v1.images".pinned_images]\nsandbox = "%s"' "$METALLAB_PAUSE_IMAGE")
    if [ "$(cat "$config" 2>/dev/null)" != "version = 3
$wanted" ]; then
        echo "changed: $config"
        mkdir -p "${config%/*}"
        printf 'version = 3\n%s\n' "$wanted" >"$config"
    fi
fi

# A learner types `sudo kubectl get nodes` on the control plane; the file is there once kubeadm has run.
if [ ! -L /root/.kube/config ]; then
    echo "changed: /root/.kube/config"
    mkdir -p /root/.kube
    ln -s /etc/kubernetes/admin.conf /root/.kube/config
fi

completion=/usr/share/bash-completion/completions/kubectl
if [ -x /usr/local/bin/kubectl ] && [ /usr/local/bin/kubectl -nt "$completion" ]; then
    echo "changed: $completion"
    kubectl completion bash >"$completion"
fi
