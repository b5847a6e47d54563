"""The announcer's Node object, as several drills change it, and how they change it back."""

from __future__ import annotations

from collections.abc import Callable

from metallab.cluster.api import Object
from metallab.drills.base import NODE, Facts, Stage


def change(what: Object) -> Callable[[Stage, Facts], None]:
    """Return what merges a change into the Node; done before, nothing changes."""

    def do(stage: Stage, facts: Facts) -> None:
        """Change it."""
        stage.site.cluster.patch("v1", "Node", facts[NODE], what)

    return do
