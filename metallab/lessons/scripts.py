"""A lesson's own scripts: plain bash, run in the checkout with the lesson's values as variables.

Three words stand for the lab's own ways, without the second that starting ``./inv`` takes: ``kubectl`` is the admin's,
``learner`` is kubectl as the learner, ``on MACHINE WORDS`` runs a command on a machine.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

from metallab import bundle as bundles
from metallab import errors, paths
from metallab.config import Lab
from metallab.errors import LabError
from metallab.lessons import learner, progress
from metallab.machines import access
from metallab.machines.labdir import LabDir
from metallab.run import pace
from metallab.run.local import run
from metallab.run.result import CommandFailed, CommandTimedOut, OnLine
from metallab.site import Site

SECONDS = 300.0
_FACT = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$")


def play(site: Site, script: Path, values: Mapping[str, str], say: OnLine | None = None) -> str:
    """Run a script as somebody at a shell would, and return what it printed; ``say`` is told each line.

    Raises LAB-LSN-004 when it fails.
    """
    file = progress.folder(site.labdir) / "words.sh"
    site.labdir.write_secret(file, words(site.lab, site.labdir, bundles.require().dir / "bin" / "kubectl"))
    try:
        argv = ["bash", "-euo", "pipefail", str(script)]
        done = run(
            argv,
            timeout=pace.scaled(SECONDS),
            cwd=paths.repo_root(),
            env={**values, "BASH_ENV": str(file)},
            on_line=say,
        )
    except (CommandFailed, CommandTimedOut) as error:
        raise LabError(errors.LESSON_SCRIPT_FAILED, error.what, where=str(script), detail=error.detail) from error
    return done.stdout


def words(lab: Lab, labdir: LabDir, kubectl: Path) -> str:
    """Return the three words as bash functions (a file that bash reads first: BASH_ENV)."""
    configs = {"kubectl": labdir.kubeconfig, "learner": learner.kubeconfig_of(labdir)}
    program = shlex.quote(str(kubectl))
    lines = [f'{word}() {{ KUBECONFIG={shlex.quote(str(path))} {program} "$@"; }}' for word, path in configs.items()]
    # ssh hands one line to a shell over there: each word is quoted, so that it arrives as it was written.
    lines += ["on() {", "  local machine=$1 line", "  shift", "  line=$(printf '%q ' \"$@\")", "  case $machine in"]
    for machine in lab.machines:
        lines.append(f'    {machine.name}) {shlex.join(access.ssh_argv(lab, labdir, machine.name, ()))} "$line" ;;')
    lines += ['    *) echo "there is no machine $machine" >&2; return 1 ;;', "  esac", "}"]
    return "\n".join(lines) + "\n"


def facts(printed: str, wanted: Collection[str], script: Path) -> dict[str, str]:
    """Read lines NAME=value. Raises LAB-LSN-004 when one that the lesson promises is missing."""
    found = {match[1]: match[2].strip() for match in map(_FACT.match, printed.splitlines()) if match is not None}
    missing = [name for name in wanted if not found.get(name)]
    if missing:
        raise LabError(errors.LESSON_SCRIPT_FAILED, f"it did not say {', '.join(missing)}", where=str(script))
    return {name: found[name] for name in wanted}


def answer(printed: str) -> str:
    """Return what a solution answers: its last line."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1] if lines else ""
