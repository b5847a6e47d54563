"""Packet filters that drills put on machines: one nft table of their own, so that taking it away undoes all."""

from __future__ import annotations

from metallab.drills.base import ASK_SECONDS, NotPossible
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
