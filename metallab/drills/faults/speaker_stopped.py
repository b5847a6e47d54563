"""The announcer's speaker is stopped in order: it says goodbye to the others."""

from __future__ import annotations

from metallab.cluster import metallb_status
from metallab.drills import claims, speakers
from metallab.drills.base import ECHO, NODE, Claim, Drill, Facts, Stage

AT_ONCE_SECONDS = 2.0
"""No timer of memberlist's runs: the others are told."""


def look(stage: Stage) -> Facts:
    """See who announces, that a speaker runs there, and who would take over."""
    speakers.pod_on(stage.site.cluster, stage.announcer)
    return {NODE: stage.announcer, ECHO: stage.heirs()[0]}


def make(stage: Stage, facts: Facts) -> None:
    """Delete its pod, as a new version of MetalLB would; its DaemonSet makes another."""
    pod = speakers.pod_on(stage.site.cluster, facts[NODE])
    name = pod["metadata"]["name"]
    stage.site.cluster.delete("v1", "Pod", name, metallb_status.NAMESPACE, wait_seconds=speakers.READY_SECONDS)


def undo(stage: Stage, _facts: Facts) -> None:
    """Wait for the new one."""
    speakers.await_all(stage.site.cluster)


DRILL = Drill(
    id="speaker-stopped",
    fault="cluster: speaker stop",
    words="the announcer's speaker is stopped in order (SIGTERM)",
    shows="a speaker that says goodbye is replaced at once, and takes the address back when it returns",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("back", "new clients miss it for two seconds at most", claims.back_within(AT_ONCE_SECONDS)),
        Claim("handed-over", "another machine says at once that it announces", claims.handed_over),
    ),
    seconds=10.0,
)
