"""A Deployment that a drill scales, and scales back."""

from __future__ import annotations

from dataclasses import dataclass

from metallab.cluster import workloads
from metallab.cluster.api import Object
from metallab.drills.base import ECHO, Facts, NotPossible, Stage
from metallab.run.wait import NotYet, until

REPLICAS = "replicas"
SECONDS = 180.0


@dataclass(frozen=True)
class Deployment:
    """A Deployment by its place and name; ``labels`` select its pods."""

    namespace: str
    name: str
    labels: str

    def look(self, stage: Stage) -> Facts:
        """See that it runs, and how many replicas it wants; the echo runs on the announcer. Raises NotPossible."""
        found = self._get(stage)
        if found is None or not workloads.rollout(found).settled:
            raise NotPossible(f"{self.name} is not as it should be")
        return {REPLICAS: str(found["spec"].get("replicas", 1)), ECHO: stage.announcer}

    def take_away(self, stage: Stage) -> None:
        """Scale it to none, and return when its last pod is gone."""
        self._scale(stage, 0)

        def gone() -> None:
            left = len(stage.site.cluster.list("v1", "Pod", self.namespace, labels=self.labels))
            if left:
                raise NotYet(f"{left} still there")

        until(gone, timeout=SECONDS, what=f"{self.name} to be gone")

    def scale(self, stage: Stage, replicas: int) -> None:
        """Scale it, and return when so many are ready and no more are there."""
        self._scale(stage, replicas)

        def ready() -> None:
            found = self._get(stage)
            if found is None or not workloads.rollout(found).settled:
                raise NotYet("missing" if found is None else str(workloads.rollout(found)))

        until(ready, timeout=SECONDS, what=f"{self.name} to have {replicas} ready")

    def undo(self, stage: Stage, facts: Facts) -> None:
        """Scale it back to what was found, and return when it is ready."""
        self.scale(stage, int(facts[REPLICAS]))

    def _get(self, stage: Stage) -> Object | None:
        return stage.site.cluster.get(workloads.APPS, "Deployment", self.name, self.namespace)

    def _scale(self, stage: Stage, replicas: int) -> None:
        change = {"spec": {"replicas": replicas}}
        stage.site.cluster.patch(workloads.APPS, "Deployment", self.name, change, self.namespace)
