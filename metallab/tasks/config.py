"""``inv config.…``: what the lab file may hold, whether it is right, and what it comes to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from metallab import console, errors, paths
from metallab.errors import LabError
from metallab.tasks._task import Session, task

if TYPE_CHECKING:
    from metallab import config


@task
def schema(_session: Session) -> None:
    """Print the JSON Schema of lab.yaml, for editors. Example: ./inv config.schema."""
    from metallab import config

    console.line(json.dumps(config.json_schema(), indent=2))


@task
def validate(session: Session) -> None:
    """Check lab.yaml: every problem at once, with its key. Touches nothing. Example: ./inv config.validate."""
    lab = session.lab
    console.line(f"{paths.lab_file()}: good (lab {lab.name}, network {lab.network}, {len(lab.machines)} machines)")


@task(help={"output": "yaml or json"})
def show(session: Session, output: str = "yaml") -> None:
    """Print the lab as it is used: defaults filled in, addresses computed. Example: ./inv config.show -o json."""
    import yaml

    record = resolved(session.lab)
    if output == "json":
        console.line(json.dumps(record, indent=2))
    elif output == "yaml":
        console.line(yaml.safe_dump(record, sort_keys=False).rstrip())
    else:
        raise LabError(errors.HOST_CHOICE_UNKNOWN, f"no output is called {output!r}; there is: yaml, json")


def resolved(lab: config.Lab) -> dict[str, object]:
    """Return the whole lab file as it could have been written, and under ``computed`` what follows from it."""
    addresses = {machine.name: str(lab.address(machine)) for machine in lab.machines}
    pods = {node.name: str(lab.pod_network(node)) for node in lab.nodes}
    computed = {
        "gateway": str(lab.gateway),
        "machines": addresses,
        "pool": lab.pool_range,
        "sharedAddress": str(lab.vip),
        "pods": pods,
        "dns": str(lab.dns_address),
    }
    return {**lab.model_dump(mode="json", by_alias=True), "computed": computed}
