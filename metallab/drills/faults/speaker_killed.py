"""The announcer's speaker is killed: the one program that answers ARP, but through which no traffic goes."""

from __future__ import annotations

from metallab.cluster import metallb_status
from metallab.drills import claims, speakers
from metallab.drills.base import ASK_SECONDS, ECHO, NODE, Drill, Facts, Stage


def look(stage: Stage) -> Facts:
    """See who announces, and its speaker's pod."""
    node = stage.announcer
    speakers.pod_on(stage.site.cluster, node)
    return {NODE: node, ECHO: stage.heirs()[0]}


def make(stage: Stage, facts: Facts) -> None:
    """Kill the speaker's process by SIGKILL; the kubelet starts it again at once, the first time."""
    node = facts[NODE]
    pod = speakers.pod_on(stage.site.cluster, node)
    (container,) = (one for one in pod["status"]["containerStatuses"] if one["name"] == metallb_status.SPEAKER)
    task = container["containerID"].rpartition("/")[2]
    argv = ["ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", task]
    stage.runner(node).run(argv, timeout=ASK_SECONDS)


def undo(stage: Stage, facts: Facts) -> None:
    """Replace the pod: one that has been killed before waits 10 s and more before it is started again."""
    speakers.replace(stage.site.cluster, facts[NODE])
    speakers.await_all(stage.site.cluster)


DRILL = Drill(
    id="speaker-killed",
    fault="cluster: speaker kill",
    words="the announcer's speaker is killed (SIGKILL)",
    shows="a speaker is not in the way of the traffic: it is back before the others take it for dead",
    look=look,
    make=make,
    undo=undo,
    claims=(claims.GOES_ON, claims.STAYS),
    seconds=10.0,
)
