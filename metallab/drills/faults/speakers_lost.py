"""All speakers are gone: nobody answers ARP any more."""

from __future__ import annotations

from metallab.cluster import metallb_status, workloads
from metallab.drills import claims, speakers
from metallab.drills.base import ECHO, Claim, Drill, Facts, Stage
from metallab.run.wait import NotYet, pause, until

NOBODY = "metallab-drill/nobody"
STILL_SECONDS = 4.0
SPEAKER = (workloads.APPS, "DaemonSet", metallb_status.SPEAKER)


def look(stage: Stage) -> Facts:
    """See that somebody announces at all."""
    return {ECHO: stage.announcer}


def make(stage: Stage, _facts: Facts) -> None:
    """Let the speakers run only where no node is; then let the client forget the MAC it knows."""
    _select(stage, "here")

    def gone() -> None:
        left = speakers.pods(stage.site.cluster)
        if left:
            raise NotYet(f"{len(left)} are still there")

    until(gone, timeout=speakers.READY_SECONDS, what="the speakers to be gone")
    # A client that knows the MAC goes on: seen for some seconds before it forgets.
    pause(STILL_SECONDS)
    stage.forget_address()


def undo(stage: Stage, _facts: Facts) -> None:
    """Let them run everywhere again."""
    _select(stage, None)
    speakers.await_all(stage.site.cluster)


def _select(stage: Stage, value: str | None) -> None:
    change = {"spec": {"template": {"spec": {"nodeSelector": {NOBODY: value}}}}}
    stage.site.cluster.patch(*SPEAKER, change, metallb_status.NAMESPACE)


DRILL = Drill(
    id="speakers-lost",
    fault="cluster: all speakers gone",
    words="all speakers are gone, and then the client forgets the MAC",
    shows="a client that knows the MAC goes on; one that has to ask gets no answer, though server and rules are well",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("out", "once it has to ask, a client gets no answer until it is undone", claims.breaks(soon=120.0)),
        Claim("at-first", "as long as it knows the MAC it is served", claims.served_for(STILL_SECONDS)),
        claims.SILENT,
    ),
    seconds=6.0,
)
