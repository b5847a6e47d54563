"""Packet filters that drills put on machines: one nft table of their own, so that taking it away undoes all."""

from __future__ import annotations

from dataclasses import dataclass

from metallab.drills.base import ASK_SECONDS, ECHO, NODE, Facts, NotPossible, Stage
from metallab.run.result import Runner

NAME = "metallab_drill"


def rules(family: str, chain: str) -> str:
    """Return what nft is given: the table anew, with one chain of these lines."""
    return f"{_gone(family)}table {family} {NAME} {{\n    chain drill {{\n{chain}\n    }}\n}}\n"


def put(runner: Runner, family: str, chain: str) -> None:
    """Put a chain on a machine; one that is there is replaced."""
    runner.run(["nft", "-f", "-"], input=rules(family, chain), timeout=ASK_SECONDS)


def take_away(runner: Runner, family: str) -> None:
    """Remove the table, which need not be there."""
    runner.run(["nft", "-f", "-"], input=_gone(family), timeout=ASK_SECONDS)


def _gone(family: str) -> str:
    """Return how the table is removed; naming it first makes that no error where there is none."""
    return f"table {family} {NAME}\ndelete table {family} {NAME}\n"


def require(runner: Runner, family: str, chain: str) -> None:
    """See that a machine's kernel knows what a chain needs: nft only checks it. Raises NotPossible."""
    done = runner.run(["nft", "--check", "-f", "-"], input=rules(family, chain), timeout=ASK_SECONDS, check=False)
    if not done.ok:
        raise NotPossible(f"the kernel of {runner.name} does not know the filter: {done.tail}")


@dataclass(frozen=True)
class Drop:
    """Packets to the address that the announcer drops: an nft chain, in which ``{address}`` stands for it."""

    chain: str

    def look(self, stage: Stage) -> Facts:
        """See who announces, and that its kernel knows what the chain needs (no queueing discipline is)."""
        require(stage.runner(stage.announcer), "ip", self._lines(stage))
        return {NODE: stage.announcer, ECHO: stage.announcer}

    def make(self, stage: Stage, facts: Facts) -> None:
        """Begin to drop."""
        put(stage.runner(facts[NODE]), "ip", self._lines(stage))

    def undo(self, stage: Stage, facts: Facts) -> None:
        """Drop no more."""
        take_away(stage.runner(facts[NODE]), "ip")

    def _lines(self, stage: Stage) -> str:
        return self.chain.format(address=stage.subject.address)
