"""The lab brought back to where every lesson starts from, whatever its learner did to it, without making it anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import yaml

from metallab import bundle as bundles
from metallab import errors, paths, steps
from metallab.cluster import example, experiment, manifests, metallb, metallb_status, nic, status, workloads
from metallab.cluster.api import Cluster, Object
from metallab.config import Lab
from metallab.events import Events, Step
from metallab.lessons.checks import API_VERSIONS
from metallab.lessons.format import NAMESPACE, Lesson, fill, values
from metallab.run import wait
from metallab.run.ssh import SshRunner
from metallab.run.wait import NotYet
from metallab.site import Site

RECORDER = "metallab-lesson-recorder"
"""The transient unit on the client that a lesson may leave behind."""
ASK_SECONDS = 30.0
GONE_SECONDS = 90.0
ROLLOUT_SECONDS = 120.0


def restore_machines(lab: Lab, site: Site, events: Events) -> None:
    """Undo what was done on machines; bring the lab up where one does not let us in or a node is not Ready."""
    with events.step("machines as they were") as step:
        healthy = _machines(site, step)
    if not healthy:
        steps.bring_up(lab, events)


def restore_cluster(site: Site, lessons: Sequence[Lesson], events: Events) -> None:
    """Bring nodes, MetalLB and its pool back to what the bring-up makes, and take the example away. Takes about 15 s.

    Everything is done anew or looked for first, so that an interrupted run is healed by the next one.
    """
    with events.step("cluster as it was") as step:
        experiment.heal(site.cluster)
        _take_away(site.cluster, lessons, step)
        _nodes(site.lab, site.cluster)
    steps.install_metallb(site, events)
    with events.step("address pool as it was"):
        for item in metallb.pool_objects(site.lab, nic.lab_interfaces(site.lab, site.node_runners())):
            settle(site.cluster, item)
    with events.step("iperf3 example as it was") as step:
        example.delete(site.cluster, step)


def _machines(site: Site, step: Step) -> bool:
    """Undo what was done on machines; tell whether all of them let us in and all nodes are Ready."""
    reached = True
    for machine in site.lab.machines:
        runner = site.runner(machine)
        step.progress(machine.name)
        if not runner.answers():
            reached = False
        elif machine.role == "client":
            _client(runner, str(site.lab.vip))
        else:
            runner.run(["systemctl", "start", "kubelet"], timeout=ASK_SECONDS, check=False)
    return reached and site.cluster.healthz() and all(node.ready for node in status.nodes(site.cluster))


def _client(client: SshRunner, address: str) -> None:
    """End a recorder and forget what somebody has told the neighbour table for good. Neither need be there."""
    client.run(["systemctl", "stop", RECORDER], timeout=ASK_SECONDS, check=False)
    client.run(["ip", "neigh", "flush", "to", address, "nud", "permanent"], timeout=ASK_SECONDS, check=False)
    client.run(["ip", "neigh", "flush", "to", address], timeout=ASK_SECONDS, check=False)


def _take_away(cluster: Cluster, lessons: Iterable[Lesson], step: Step) -> None:
    """Remove the lessons' namespace and what their learners were asked to make beside it."""
    for item in (made for lesson in lessons for made in lesson.settings.makes):
        cluster.delete(API_VERSIONS[item.kind], item.kind, item.name, metallb_status.NAMESPACE)
    step.progress(f"deleting the namespace {NAMESPACE}")
    cluster.delete("v1", "Namespace", NAMESPACE, wait_seconds=GONE_SECONDS)


def _nodes(lab: Lab, cluster: Cluster) -> None:
    """Let every node take pods again, and the control plane announce only where there is no worker."""
    for node in cluster.list("v1", "Node"):
        name = node["metadata"]["name"]
        if node["spec"].get("unschedulable"):
            cluster.patch("v1", "Node", name, {"spec": {"unschedulable": None}})
        left_out = bool(lab.workers) and name == lab.control_plane.name
        if metallb_status.excluded(node) is not left_out:
            label = {metallb_status.EXCLUDE_LABEL: "" if left_out else None}
            cluster.patch("v1", "Node", name, {"metadata": {"labels": label}})


def settle(cluster: Cluster, item: Object) -> None:
    """Make an object's spec exactly what is given: a field that somebody added is taken away, too."""
    metadata = item["metadata"]
    found = cluster.get(item["apiVersion"], item["kind"], metadata["name"], metadata["namespace"]) or {}
    extra = found.get("spec", {}).keys() - item["spec"].keys()
    if extra:
        change = {"spec": dict.fromkeys(extra)}
        cluster.patch(item["apiVersion"], item["kind"], metadata["name"], change, metadata["namespace"])
    metallb.apply_when_validated(cluster, item)


# -- what a lesson starts with -----------------------------------------------------------------------------------


def furnish(site: Site, lesson: Lesson, events: Events) -> None:
    """Bring what the lesson starts with: the example, the echo server, its own objects."""
    if lesson.settings.example:
        steps.deploy_example(site, events)
    home = paths.repo_root() / "lessons"
    files = [home / "learner.yaml"] + ([home / "echo.yaml"] if lesson.settings.server else [])
    with events.step("what the lesson brings") as step:
        for item in (item for file in files for item in manifests.read(file)):
            if item["kind"] == "Deployment":
                item["spec"]["template"]["spec"]["containers"][0]["image"] = bundles.require().image_ref("agnhost")
            site.cluster.apply(item)
        own = lesson.folder / "start.yaml"
        if own.exists():
            for item in yaml.safe_load_all(fill(own.read_text(encoding="utf-8"), values(site.lab))):
                metallb.apply_when_validated(site.cluster, item, on_wait=step.progress)
        if lesson.settings.server:
            workloads.wait_for_rollout(
                site.cluster, "Deployment", NAMESPACE, "echo", timeout=ROLLOUT_SECONDS, step=step
            )


def wait_for_account(cluster: Cluster, name: str) -> None:
    """Wait until a ServiceAccount of the lesson's namespace is there: a new namespace takes a moment."""

    def there() -> None:
        if cluster.get("v1", "ServiceAccount", name, NAMESPACE) is None:
            raise NotYet("it is not there")

    wait.until(there, timeout=ASK_SECONDS, what=f"the account {name}", entry=errors.CLUSTER_TIMEOUT)
