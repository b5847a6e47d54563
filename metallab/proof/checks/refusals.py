"""What MetalLB must refuse, and the words it refuses with."""

from __future__ import annotations

import time

from metallab.proof.checks.scene import Scene, Seen, asked, waited

EXPECTED = {
    "other-key": ("can't change sharing key",),
    "port-clash": ("is already in use on",),
    "exhausted": ("no available IPs", '["<nil>"] is not allowed in config'),
}
"""Case (a folder of manifests/proof) -> MetalLB's words, from its internal/allocator. Of a named pool that has nothing
left, v0.15.2 says the second; it means that no address came out of it."""
FAILED = "AllocationFailed"


def refused(scene: Scene, *, case: str) -> Seen:
    """Ask for an address that must not be given; MetalLB has to say so in an event, and give none."""
    began = time.monotonic()
    events = scene.subject.cluster.refused(case, EXPECTED[case])
    wait = waited("MetalLB's answer", time.monotonic() - began)
    said = [event for event in events if event.startswith(FAILED) and any(word in event for word in EXPECTED[case])]
    evidence = asked("events of the service", list(events))
    seen = said[-1] if said else events[-1] if events else f"no event {FAILED}"
    expected = f"no address, and an event {FAILED}: … {' or '.join(EXPECTED[case])}"
    return Seen(bool(said), expected, _short(seen), (wait, evidence))


def _short(event: str) -> str:
    """Leave out that an address was not given, and to whom, which the claim says already."""
    head, found, words = event.partition('": ')
    return words if found and head.startswith(FAILED) else event
