"""``inv bundle.…``: every program, image and manifest the machines will need, made before they start."""

from __future__ import annotations

import json

from metallab import console
from metallab.tasks._task import Session, require_output, task

COLUMNS = ("kind", "name", "version", "MB", "sha256")


@task(
    help={"update-lock": "write bundle.lock.json anew, do not compare with it", "rebuild": "make all of it again"},
    long=True,
)
def build(session: Session, update_lock: bool = False, rebuild: bool = False) -> None:
    """Build the bundle, or go on where an interruption left it. Example: ./inv bundle.build."""
    from metallab import bundle as bundles
    from metallab.host import doctor

    if bundles.find() is None:
        doctor.require_room()
    bundles.build(session.events, update_lock=update_lock, rebuild=rebuild)


@task(help={"output": "table (default) or json"})
def list(_session: Session, output: str = "table") -> None:  # noqa: A001 - the task is called so
    """Show what the bundle holds and where it lies. Example: ./inv bundle.list."""
    from metallab import bundle as bundles

    require_output(output)
    bundle = bundles.require()
    if output == "json":
        console.line(json.dumps({"dir": str(bundle.dir), **bundles.to_dict(bundle)}, indent=2))
    else:
        console.table(f"bundle {bundle.key} in {bundle.dir}", COLUMNS, bundles.rows(bundle))
