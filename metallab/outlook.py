"""What each job of the bring-up would do, found out without touching anything. ``steps.py`` puts it beside the job.

A machine is asked only where it can have been made: without the lab's own network its address may be somebody else's.
"""

from __future__ import annotations

from metallab import refusals
from metallab.cluster import kubeadm
from metallab.cluster.kubeadm import State
from metallab.config import Machine
from metallab.site import Site
from metallab.workflow import Act, Look

STATES = {
    State.DONE: Act.SKIP,
    State.SILENT: Act.GO_ON,
    State.HALF: Act.GO_ON,
    State.NOTHING: Act.MAKE,
}


def machine(here: Site, wanted: Machine, seconds: float) -> Look:
    """Return how a machine is looked at: it lets us in within ``seconds``, or Vagrant knows it, or there is none."""
    address = here.lab.address(wanted)

    def look(_ready: bool) -> tuple[Act, str]:  # noqa: FBT001 - the form of every look
        if _has_network(here) and here.runner(wanted).answers(seconds):
            return Act.SKIP, f"already up at {address}"
        if here.vagrant.has_made(wanted.name):
            return Act.GO_ON, f"made before, no SSH at {address}: vagrant up starts it"
        return Act.MAKE, f"{wanted.role} at {address}, by {here.choice.provider}"

    return look


def control_plane(here: Site) -> Look:
    """Return how the control plane is looked at, on its machine."""
    words = {
        State.DONE: "already there",
        State.SILENT: "complete, but its API server does not answer: its kubelet is started",
        State.HALF: "half made: reset, then kubeadm init once more",
        State.NOTHING: "kubeadm init; the pods' network on its machine",
    }

    def look(ready: bool) -> tuple[Act, str]:  # noqa: FBT001
        if not ready:
            return _unasked(here, "kubeadm init; the pods' network on its machine")
        state = kubeadm.control_plane_state(here.lab, here.runner(here.lab.control_plane))
        return STATES[state], words[state]

    return look


def join(here: Site, worker: Machine) -> Look:
    """Return how a worker is looked at: what its machine has of the cluster, and whether that knows it."""
    words = {
        State.DONE: "already joined",
        State.HALF: "half joined, or of another cluster: reset, then kubeadm join once more",
        State.NOTHING: "kubeadm join; the pods' network on its machine",
    }

    def look(ready: bool) -> tuple[Act, str]:  # noqa: FBT001
        if not ready or not here.labdir.kubeconfig.exists():
            return _unasked(here, words[State.NOTHING])
        authority = kubeadm.authority_of(refusals.own_text(here.labdir.kubeconfig))
        known = here.cluster.get("v1", "Node", worker.name) is not None
        state = kubeadm.worker_state(here.runner(worker), authority, known=known)
        return STATES[state], words[state]

    return look


def ready(_ready: bool) -> tuple[Act, str]:  # noqa: FBT001
    """Tell what is waited for at the end, which is asked anew every time."""
    return Act.WAIT, "until nodes are Ready, CoreDNS and kube-proxy run, and services work on every node"


def _has_network(here: Site) -> bool:
    """Tell whether the lab's network can be there: it was made, and the lab's own namespace, if it has one, exists."""
    sandbox = here.choice.sandbox
    return here.labdir.inventory.exists() and (sandbox is None or sandbox.exists())


def _unasked(here: Site, words: str) -> tuple[Act, str]:
    """Return what is known of a part of the cluster whose machine cannot be asked yet."""
    if here.labdir.kubeconfig.exists():
        return Act.GO_ON, "comes back with its machine, where it is looked at again"
    return Act.MAKE, words
