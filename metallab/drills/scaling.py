"""Deployments that a drill takes away and brings back."""

from __future__ import annotations

from metallab.cluster import workloads
from metallab.drills.base import Facts, NotPossible, Stage
from metallab.run.wait import NotYet, until

REPLICAS = "replicas"
SECONDS = 180.0


def count(stage: Stage, namespace: str, name: str) -> Facts:
    """Return how many replicas a Deployment wants, as a fact. Raises NotPossible when it is missing or not ready."""
    found = stage.site.cluster.get(workloads.APPS, "Deployment", name, namespace)
    if found is None or not workloads.rollout(found).settled:
        raise NotPossible(f"{name} is not as it should be")
    return {REPLICAS: str(found["spec"].get("replicas", 1))}


def down(stage: Stage, namespace: str, name: str, labels: str) -> None:
    """Scale it to none, and return when its last pod is gone."""
    _scale(stage, namespace, name, 0)

    def gone() -> None:
        left = len(stage.site.cluster.list("v1", "Pod", namespace, labels=labels))
        if left:
            raise NotYet(f"{left} still there")

    until(gone, timeout=SECONDS, what=f"{name} to be gone")


def back(stage: Stage, namespace: str, name: str, facts: Facts) -> None:
    """Scale it back, and return when it is ready."""
    _scale(stage, namespace, name, int(facts[REPLICAS]))

    def ready() -> None:
        found = stage.site.cluster.get(workloads.APPS, "Deployment", name, namespace)
        if found is None or not workloads.rollout(found).settled:
            raise NotYet("missing" if found is None else str(workloads.rollout(found)))

    until(ready, timeout=SECONDS, what=f"{name} to be ready again")


def _scale(stage: Stage, namespace: str, name: str, replicas: int) -> None:
    stage.site.cluster.patch(workloads.APPS, "Deployment", name, {"spec": {"replicas": replicas}}, namespace)
