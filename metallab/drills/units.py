"""A unit of the announcer's systemd that a drill stops, and starts again; the server runs on that node, too."""

from __future__ import annotations

from collections.abc import Callable

from metallab.cluster import ready
from metallab.drills.base import ASK_SECONDS, ECHO, NODE, Facts, Stage
from metallab.run.wait import NotYet, until

READY_SECONDS = 120.0


def look(stage: Stage) -> Facts:
    """See who announces; the server runs there, too."""
    return {NODE: stage.announcer, ECHO: stage.announcer}


def stop(unit: str) -> Callable[[Stage, Facts], None]:
    """Return what stops the unit on the node."""

    def make(stage: Stage, facts: Facts) -> None:
        """Stop it."""
        stage.runner(facts[NODE]).run(["systemctl", "stop", unit], timeout=ASK_SECONDS)

    return make


def start(unit: str) -> Callable[[Stage, Facts], None]:
    """Return what starts it, and waits until the node is Ready."""

    def undo(stage: Stage, facts: Facts) -> None:
        """Start it, and wait until the node is Ready."""
        stage.runner(facts[NODE]).run(["systemctl", "start", unit], timeout=ASK_SECONDS)

        def is_ready() -> None:
            state = ready.node_state(stage.site.cluster.get("v1", "Node", facts[NODE]))
            if state:
                raise NotYet(state)

        until(is_ready, timeout=READY_SECONDS, what=f"{facts[NODE]} to be Ready")

    return undo
