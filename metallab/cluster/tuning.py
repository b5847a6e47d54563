"""What Kubernetes and MetalLB are told when machines are slow: one record, chosen from the machines' own pace.

With a machine of ordinary speed nothing is changed. The values for slow ones are those with which a cluster on emulated
machines ran without a restart; the projects' own assume that an answer takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

SLOW = 3.0
"""From this pace on the projects' own values were seen to fail."""
ORDINARY_MINUTES, SLOW_MINUTES = 4, 15
LEASES = (120, 300)
"""The shortest and the longest lease of a leader on slow machines, in seconds.

The shortest was enough where three machines are 30 to 61 times slower than ordinary ones, and was lost where four are
52 to 100 times slower. A leader that loses its power is replaced only when its lease is over, so none is longer than it
has to be.
"""
LEASE_FOR_PACE = 4
"""Seconds of lease for each time that a machine is slower: 120 at 30 times, 300 from 75 times on."""


@dataclass(frozen=True)
class Tuning:
    """Timeouts and intervals of a cluster. None leaves the project's own value.

    ``kubeadm_minutes``: how long kubeadm waits for anything. ``etcd_heartbeat`` and ``etcd_election``: milliseconds
    (etcd's tuning guide: the election at least ten times the heartbeat). ``lease``, ``renew`` and ``retry``: seconds of
    the leader election of scheduler and controller-manager. ``wide_gossip``: MetalLB's speakers watch each other with
    memberlist's settings for a wide network. ``probe_seconds``: how long a pod may take to answer a probe; ``request``:
    the API server a request. ``collect``: Go's GOGC of the API server, which then spends memory instead of a third of
    its processor time.
    """

    pace: float = 1.0
    kubeadm_minutes: int = ORDINARY_MINUTES
    etcd_heartbeat: int | None = None
    etcd_election: int | None = None
    lease: int | None = None
    renew: int | None = None
    retry: int | None = None
    wide_gossip: bool = False
    probe_seconds: int | None = None
    request: int | None = None
    collect: int | None = None

    @property
    def slow(self) -> bool:
        """Tell whether anything is changed."""
        return self.pace >= SLOW

    def __str__(self) -> str:
        if not self.slow:
            return "ordinary speed"
        return (
            f"{self.pace:.0f} times slower than an ordinary machine: kubeadm waits {self.kubeadm_minutes} min, "
            f"etcd heartbeat {self.etcd_heartbeat} ms and election {self.etcd_election} ms, leases {self.lease} s, "
            f"memberlist on its WAN profile"
        )


ORDINARY = Tuning()


def of(pace: float, waits: float = 1.0) -> Tuning:
    """Return the settings for machines that take ``pace`` times as long as ordinary ones.

    ``waits`` is how many times as long a wait is just now. kubeadm's own time limits follow that, too, for they end
    with the command; everything else stays with the cluster, long after the host's load has gone.
    """
    minutes = SLOW_MINUTES if max(pace, waits) >= SLOW else ORDINARY_MINUTES
    if pace < SLOW:
        return Tuning(kubeadm_minutes=minutes)
    least, most = LEASES
    lease = min(most, max(least, round(LEASE_FOR_PACE * pace)))
    return Tuning(
        pace=pace,
        kubeadm_minutes=minutes,
        etcd_heartbeat=500,
        etcd_election=5000,
        lease=lease,
        renew=lease * 3 // 4,
        retry=lease // 12,
        wide_gossip=True,
        probe_seconds=20,
        request=300,
        collect=300,
    )
