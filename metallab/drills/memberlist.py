"""How fast MetalLB's speakers can notice that one is dead: read from how they are started, computed as memberlist does.

The numbers are memberlist's own (v0.5.1, config.go, DefaultLANConfig and DefaultWANConfig); MetalLB (v0.15.2,
internal/speakerlist) takes one of the two as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from metallab.cluster import metallb_status, workloads
from metallab.cluster.api import Cluster
from metallab.cluster.metallb import WIDE_GOSSIP
from metallab.drills.records import Floor


@dataclass(frozen=True)
class Profile:
    """A set of memberlist's timers: seconds between probes, and how many probe intervals a suspicion lasts."""

    name: str
    probe: float
    suspicion: int


LAN = Profile("LAN", probe=1.0, suspicion=4)
WAN = Profile("WAN", probe=5.0, suspicion=6)


def floor(profile: Profile, speakers: int) -> Floor:
    """Return the shortest and the longest time from a speaker's death to its declaration, nothing else going wrong.

    Every speaker probes one other each interval, in turn. The one that gets no answer suspects the dead one at the end
    of its interval; the suspicion lasts ``suspicion`` intervals, more from 10 speakers on (util.go, suspicionTimeout).
    With four speakers or more it lasts longer at first and is cut short as others confirm it.
    """
    scale = int(max(1.0, math.log10(max(1.0, speakers))) * 1000) / 1000
    least = profile.probe + profile.suspicion * scale * profile.probe
    return Floor(profile.name, speakers, round(least, 3), round(least + max(0, speakers - 1) * profile.probe, 3))


def profile_of(arguments: Sequence[str]) -> Profile:
    """Return the timers that a speaker with these arguments has (flag in MetalLB's speaker/main.go)."""
    return WAN if {WIDE_GOSSIP, f"{WIDE_GOSSIP}=true"} & set(arguments) else LAN


def read(cluster: Cluster) -> Floor | None:
    """Return the floor of the speakers that run now, None when there are none."""
    speaker = cluster.get(workloads.APPS, "DaemonSet", metallb_status.SPEAKER, metallb_status.NAMESPACE)
    if speaker is None:
        return None
    containers = speaker["spec"]["template"]["spec"]["containers"]
    arguments = next(one.get("args", []) for one in containers if one["name"] == metallb_status.SPEAKER)
    return floor(profile_of(arguments), workloads.rollout(speaker).ready)
