"""Something that MetalLB has to refuse, asked for while a client watches; the proof has the same requests."""

from __future__ import annotations

from collections.abc import Callable

from metallab.drills import claims
from metallab.drills.base import ECHO, Claim, Facts, Stage
from metallab.proof.checks import refusals

EVENT = "event"


def look(stage: Stage) -> Facts:
    """Need nothing but what a drill brings along."""
    return {ECHO: stage.announcer}


def ask(case: str) -> Callable[[Stage, Facts], Facts]:
    """Return what asks for it, waits for the answer, and takes the request away again."""

    def make(stage: Stage, _facts: Facts) -> Facts:
        """Ask for it, wait for the answer, and take the request away again."""
        said = stage.subject.cluster.refused(case, refusals.EXPECTED[case])
        return {EVENT: "; ".join(line for line in said if line.startswith(refusals.FAILED))}

    return make


def says_why(case: str) -> Claim:
    """Return that the refusal is told in MetalLB's words."""
    return Claim("said", "MetalLB says why", claims.noted(EVENT, *refusals.EXPECTED[case]))
