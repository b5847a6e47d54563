"""A node's clock is a day ahead. Only a machine with a kernel of its own has a clock of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from metallab.drills import claims
from metallab.drills.base import ASK_SECONDS, ECHO, NODE, Claim, Drill, Facts, NotPossible, Stage
from metallab.machines import clock

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Every kernel draws one when it boots; system containers show that of the kernel they share."""
HERE = "this host"
AHEAD = "ahead of this host"
HOURS = 24


def look(stage: Stage) -> Facts:
    """See who announces, and that nobody else's clock is set with that machine's."""
    machines = stage.site.lab.machines
    kernels = {one.name: stage.runner(one.name).run(["cat", BOOT_ID], timeout=ASK_SECONDS).stdout for one in machines}
    with contextlib.suppress(OSError):  # no Linux, and so no kernel to share
        kernels[HERE] = BOOT_ID.read_text(encoding="ascii")
    shared = sharers(stage.announcer, kernels)
    if shared:
        raise NotPossible(f"{stage.announcer} has no clock of its own: it shares its kernel with {', '.join(shared)}")
    return {NODE: stage.announcer, ECHO: stage.announcer}


def sharers(name: str, kernels: Mapping[str, str]) -> list[str]:
    """Return who else has the kernel of this machine, told by boot ids."""
    return [other for other, boot_id in kernels.items() if other != name and boot_id.strip() == kernels[name].strip()]


def make(stage: Stage, facts: Facts) -> Facts:
    """Set it, and see what it says now."""
    runner = stage.runner(facts[NODE])
    runner.run(["date", "--utc", "--set", f"+{HOURS} hours"], timeout=ASK_SECONDS)
    said = float(runner.run(["date", "+%s.%N"], timeout=ASK_SECONDS).stdout)
    return {AHEAD: f"{(said - time.time()) / 3600:.1f} h"}


def undo(stage: Stage, facts: Facts) -> None:
    """Set it by this host's clock, if it is off."""
    clock.set_right(stage.runner(facts[NODE]))


DRILL = Drill(
    id="clock-24h",
    fault="node: clock +24 h",
    words="the announcer's clock is a day ahead",
    shows="no packet is asked what time it is, and what is good for a year is good tomorrow, too",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("ahead", "its clock is a day ahead", claims.noted(AHEAD, f"{HOURS}.0 h")),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=15.0,
)
