"""``inv config.…``: what the lab file may hold, whether it is right, and what it comes to."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from metallab import console, errors, paths
from metallab.errors import LabError
from metallab.tasks._task import Session, require_output, task

if TYPE_CHECKING:
    from metallab import config

SCHEMA = Path("docs") / "lab.schema.json"


@task
def schema(_session: Session) -> None:
    """Print the JSON Schema of lab.yaml, for editors (docs/lab.schema.json). Example: ./inv config.schema."""
    from metallab import config

    console.line(json.dumps(config.json_schema(), indent=2))


@task
def validate(session: Session) -> None:
    """Check lab.yaml: every problem at once, with its place. Touches nothing. Example: ./inv config.validate."""
    from metallab import config

    lab = session.lab
    for words in config.warnings(lab):
        session.events.warn(words)
    console.line(f"{paths.lab_file()}: good (lab {lab.name}, network {lab.network}, {len(lab.machines)} machines)")


@task(
    help={
        "file": "where to; without it where LAB_FILE says, or lab.yaml in the checkout",
        "schema": "path or URL of the schema that editors are told; without it the checkout's",
        "force": "overwrite a file that is there",
    },
)
def init(_session: Session, file: str = "", schema: str = "", force: bool = False) -> None:
    """Write a lab file to begin with, every key explained. Example: ./inv config.init --file other.yaml."""
    from metallab import config

    path = Path(file) if file else paths.lab_file()
    text = config.template(schema or schema_beside(path))
    try:
        with path.open("w" if force else "x", encoding="utf-8") as new:
            new.write(text)
    except OSError as error:
        raise LabError(errors.CONFIG_EXISTS, error.strerror or str(error), where=str(path)) from error
    console.line(f"{path}: written; ./inv config.validate checks it")


@task(help={"output": "yaml or json", "origin": "say of every value where it comes from"})
def show(session: Session, output: str = "yaml", origin: bool = False) -> None:
    """Print the lab as it is used: defaults filled in, addresses computed. Example: ./inv config.show -o json."""
    import yaml

    from metallab import config

    require_output(output, ("yaml", "json"))
    lab = session.lab
    if origin:
        lines = config.origins(session.lab_file, os.environ)
        console.line(json.dumps([asdict(line) for line in lines], indent=2) if output == "json" else listed(lines))
        return
    record = resolved(lab)
    text = json.dumps(record, indent=2) if output == "json" else yaml.safe_dump(record, sort_keys=False).rstrip()
    console.line(text)


def schema_beside(path: Path) -> str:
    """Return the checkout's schema as a lab file at ``path`` names it: from its own folder, or from the root."""
    folder, root = path.resolve().parent, paths.repo_root()
    return SCHEMA.as_posix() if folder == root else (root / SCHEMA).as_posix()


def listed(origins: list[config.Origin]) -> str:
    """Return values with their origins as lines a person reads, and ``grep`` finds."""
    told = [(f"{line.key}: {json.dumps(line.value)}", line.origin) for line in origins]
    width = max(len(value) for value, _ in told)
    return "\n".join(f"{value:<{width}}  # {origin}" for value, origin in told)


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
