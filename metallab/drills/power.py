"""A machine that loses its power, and comes back as ``lab.up`` brings it back."""

from __future__ import annotations

from metallab import providers, steps
from metallab.drills.base import NODE, Facts, Stage


def off(stage: Stage, facts: Facts) -> None:
    """Cut the power: nothing on the machine can say goodbye."""
    providers.of(stage.site.choice.provider).power_off(stage.site, stage.machine(facts[NODE]))


def on(stage: Stage, _facts: Facts) -> None:
    """Bring the machine up again as ``lab.up`` does, and return when the cluster works."""
    steps.bring_back(stage.site, stage.events)
