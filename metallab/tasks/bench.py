"""``inv bench``: how long a bring-up takes, beside the same by hand."""

from __future__ import annotations

import json

from metallab import console, errors
from metallab.errors import LabError
from metallab.tasks._task import Session, task


@task(help={"rounds": "how many times each way (3)", "output": "table (default) or json"})
def bench(session: Session, rounds: int = 3, output: str = "table") -> None:
    """Bring a lab of its own up and down beside the same by hand; print the ratio. Example: ./inv bench --rounds 5."""
    from metallab import bench as benches
    from metallab import box as boxes
    from metallab import bundle as bundles

    if rounds < 1:
        raise LabError(errors.HOST_CHOICE_UNKNOWN, "--rounds should be 1 or more")
    bundle = bundles.require()
    boxes.require(bundle)
    found = benches.measure(bundle, session.events, rounds)
    if output == "json":
        console.line(json.dumps(benches.to_dict(found), indent=2))
        return
    console.table("seconds", ("", "median", "least", "most"), benches.rows(found))
    console.line("")
    console.line(benches.summary(found))
