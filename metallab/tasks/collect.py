"""``inv collect``: everything a bug report needs, in one archive without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from metallab import console
from metallab.tasks._task import Session, task


@task(help={"to": "folder for the archive (beside the proofs' reports)"})
def collect(session: Session, to: str = "") -> None:
    """Gather logs, states and versions for a bug report; secrets are taken out. Example: ./inv collect --to /tmp."""
    from metallab import collect as reports
    from metallab import paths

    lab = session.lab
    folder = Path(to) if to else paths.reports_dir() / lab.name
    file, contents = reports.report(lab, folder, session.events)
    for told in _failures(contents["parts"]):
        session.events.note(told)
    session.events.note("look through it before you send it: what is secret to you is not always known to a program")
    console.line(str(file))


def _failures(parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is not in the archive and why, the same reason once for all parts it is that of."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for part in parts:
        if part["state"] != "collected":
            by_reason.setdefault((part["where"], part["why"]), []).append(part["path"])
    for (where, why), paths_of in by_reason.items():
        yield f"{paths_of[0] if len(paths_of) == 1 else f'{where}, {len(paths_of)} parts'}: {why}"
