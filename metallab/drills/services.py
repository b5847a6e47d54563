"""The echo's services, as several drills change them."""

from __future__ import annotations

from metallab.cluster import example, experiment, metallb_status
from metallab.cluster.api import Object
from metallab.drills import echo
from metallab.drills.base import Facts, Stage
from metallab.run.wait import NotYet, until

LOST_SECONDS = 60.0
EVENT_SECONDS = 20.0
EVENT = "event"


def change(stage: Stage, name: str, what: Object) -> None:
    """Change a service of the echo."""
    stage.site.cluster.patch("v1", "Service", name, what, example.NAMESPACE)


def await_loss(stage: Stage, name: str, words: str) -> Facts:
    """Wait until a service has lost its address and MetalLB has said why, and note that."""
    cluster = stage.site.cluster

    def lost() -> str:
        service = cluster.get("v1", "Service", name, example.NAMESPACE)
        if service is None or metallb_status.service_address(service) is not None:
            raise NotYet(f"{name} has its address")
        said = [line for line in experiment.events(cluster, service) if words in line]
        if not said:
            raise NotYet("MetalLB has not said why")
        return said[-1]

    return {EVENT: until(lost, timeout=LOST_SECONDS, what=f"{name} to lose its address")}


def restore(stage: Stage, name: str, what: Object) -> None:
    """Change a service of the echo back, if it is there, and wait until it has its address again."""
    if stage.site.cluster.get("v1", "Service", name, example.NAMESPACE) is None:
        return
    change(stage, name, what)
    echo.await_address(stage.site.lab, stage.site.cluster, name)
