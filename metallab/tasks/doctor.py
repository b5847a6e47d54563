"""``inv doctor``: what this host can carry."""

from __future__ import annotations

import json

from metallab import console
from metallab.errors import ExitCode
from metallab.tasks._task import PROVIDER_HELP, Session, finish, task


@task(help={"output": "table (default) or json", "provider": PROVIDER_HELP})
def doctor(session: Session, output: str = "table", provider: str = "") -> None:
    """Try each provider on this host and say which one a new lab would get, and why. Example: ./inv doctor."""
    from metallab.host import doctor as hospital

    lab = session.lab_on(provider)
    with session.events.step("looking at this host"):
        diagnosis = hospital.examine(lab)
    if output == "json":
        console.line(json.dumps(diagnosis.to_dict(), indent=2))
    else:
        console.table("this host", ("", "check", "seen", "what to do"), diagnosis.rows())
        chosen = diagnosis.choice.provider if diagnosis.choice is not None else "none"
        console.line(f"\nprovider: {chosen} ({diagnosis.reason})")
    finish(int(ExitCode.PROVIDER) if diagnosis.choice is None else 0)
