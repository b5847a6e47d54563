"""Every drill there is, in the order of the list."""

from __future__ import annotations

from metallab import errors
from metallab.drills.base import Drill
from metallab.drills.faults import (
    announcer_off,
    arp_blocked,
    certificate_expired,
    clock_ahead,
    containerd_stopped,
    control_plane_off,
    delay,
    dns_dead,
    drain,
    exclude_label,
    kubelet_stopped,
    link_cut,
    local_policy,
    loss,
    mtu,
    pool_exhausted,
    port_clash,
    rate_limit,
    rogue_arp,
    server_off,
    speaker_killed,
    speaker_stopped,
    speakers_lost,
    stale_flow,
    token_expired,
    two_replicas,
    webhook_down,
    wrong_key,
)
from metallab.errors import LabError

DRILLS: tuple[Drill, ...] = (
    announcer_off.DRILL,
    server_off.DRILL,
    control_plane_off.DRILL,
    speaker_killed.DRILL,
    speaker_stopped.DRILL,
    speakers_lost.DRILL,
    exclude_label.DRILL,
    link_cut.DRILL,
    drain.DRILL,
    kubelet_stopped.DRILL,
    containerd_stopped.DRILL,
    clock_ahead.DRILL,
    rogue_arp.DRILL,
    arp_blocked.DRILL,
    loss.DRILL,
    rate_limit.DRILL,
    delay.DRILL,
    mtu.DRILL,
    dns_dead.DRILL,
    wrong_key.DRILL,
    local_policy.DRILL,
    stale_flow.DRILL,
    two_replicas.DRILL,
    port_clash.DRILL,
    pool_exhausted.DRILL,
    webhook_down.DRILL,
    certificate_expired.DRILL,
    token_expired.DRILL,
)


def find(name: str) -> Drill:
    """Return a drill by its id. Raises LAB-DRL-004."""
    for drill in DRILLS:
        if drill.id == name:
            return drill
    raise LabError(errors.DRILL_UNKNOWN, f"no drill is called {name!r}")
