"""``inv doctor``: what this host can carry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from metallab import console, paths
from metallab.tasks._task import PROVIDER_HELP, Session, finish, require_output, task

if TYPE_CHECKING:
    from metallab.host.doctor import Diagnosis, Finding


@task(help={"output": "table (default) or json", "provider": PROVIDER_HELP})
def doctor(session: Session, output: str = "table", provider: str = "") -> None:
    """Look whether a lab can run here, on which provider, and how to mend what is wrong. Example: ./inv doctor."""
    from metallab import bundle as bundles
    from metallab.host import doctor as hospital
    from metallab.host.doctor import MARKS, Known
    from metallab.site import made

    require_output(output)
    lab = session.lab_on(provider)
    bundle = bundles.find()
    known = Known(made(lab), None if bundle is None else bundle.made, _labs())
    with session.events.step("looking at this host"):
        diagnosis = hospital.diagnose(lab, known)
    if output == "json":
        console.line(json.dumps(diagnosis.to_dict(), indent=2))
    else:
        rows = [(MARKS[one.state], one.id, one.verdict.seen + _whose(one, diagnosis)) for one in diagnosis.findings]
        console.table("this host", ("", "check", "seen"), rows)
        for line in _conclusion(diagnosis):
            console.line(line)
    error = diagnosis.error()
    finish(0 if error is None else int(error.entry.exit_code))


def _labs() -> frozenset[str]:
    """Return the labs of this user that have machines."""
    from metallab.machines.labdir import LabDir

    folders = paths.state_dir()
    if not folders.is_dir():
        return frozenset()
    return frozenset(folder.name for folder in folders.iterdir() if LabDir(folder).inventory.exists())


def _whose(finding: Finding, diagnosis: Diagnosis) -> str:
    """Return the providers a finding counts for, where these are not all that were looked at."""
    return "" if finding.providers == diagnosis.asked else f" [{', '.join(finding.providers)}]"


def _conclusion(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the lines below the table: how to mend what is not good, what each provider lacks, and the choice."""
    from metallab.host.doctor import MARKS

    mends: dict[str, list[str]] = {}
    for finding in diagnosis.findings:
        if finding.state != "ok" and finding.verdict.fix:
            title = f"{MARKS[finding.state]} {finding.id}{_whose(finding, diagnosis)}"
            mends.setdefault(finding.verdict.fix, []).append(title)
    if mends:
        yield "\nwhat to do"
    for fix, titles in mends.items():
        yield from titles
        yield from (f"    {line}" for line in fix.splitlines())
    yield ""
    for name in diagnosis.asked:
        lacking = ", ".join(one.id for one in diagnosis.failures(name))
        yield f"{name}: " + (f"cannot run: {lacking}" if lacking else "can run")
    chosen = diagnosis.choice.provider if diagnosis.choice is not None else "none"
    yield f"provider: {chosen} ({diagnosis.reason})"
