"""``inv bench``: how long a bring-up takes, beside the same by hand; and what a command costs at all."""

from __future__ import annotations

import json

from metallab import console, errors
from metallab.errors import LabError
from metallab.tasks._task import Session, require_output, task


@task(
    help={
        "rounds": "how many times each way (3)",
        "output": "table (default) or json",
        "commands": "measure what quick commands cost beside bare Python, and bring nothing up",
    }
)
def bench(session: Session, rounds: int = 3, output: str = "table", commands: bool = False) -> None:
    """Bring a lab of its own up and down beside the same by hand; print the ratio. Example: ./inv bench --rounds 5."""
    if rounds < 1:
        raise LabError(errors.HOST_CHOICE_UNKNOWN, "--rounds should be 1 or more")
    require_output(output)
    if commands:
        _commands(session, rounds, output)
    else:
        _bring_up(session, rounds, output)


def _bring_up(session: Session, rounds: int, output: str) -> None:
    from metallab import bench as benches
    from metallab import box as boxes
    from metallab import bundle as bundles

    bundle = bundles.require()
    boxes.require(bundle)
    found = benches.measure(bundle, session.events, rounds)
    if output == "json":
        console.line(json.dumps(benches.to_dict(found), indent=2))
        return
    console.table("seconds", ("", "median", "least", "most"), benches.rows(found))
    console.line("")
    console.line(benches.summary(found))


def _commands(session: Session, rounds: int, output: str) -> None:
    from metallab import budgets

    found = budgets.measure(session.lab, session.events, rounds)
    if output == "json":
        console.line(json.dumps(budgets.to_dict(found), indent=2))
    else:
        console.table("what a command costs", budgets.COLUMNS, budgets.rows(found))
