"""``inv lint``, ``inv test``: for the people who work on the lab."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metallab import console, errors, paths
from metallab.errors import LabError
from metallab.events import Events
from metallab.tasks._task import Session, task

TIERS = ("unit", "integration", "e2e", "vm")
INSTALL_TIMEOUT = 900
LINTER_TIMEOUT = 900


@dataclass(frozen=True)
class Linter:
    """One linter: what it is called, and its words after the folder of the venv's programs."""

    title: str
    argv: tuple[str, ...]
    fix: tuple[str, ...] | None = None
    """The same linter asked to mend what it can."""


def linters(root: Path) -> tuple[Linter, ...]:
    """Return every linter of the house, in the order they run. ``.pre-commit-config.yaml`` holds the same lines."""
    return (
        Linter("ruff check", ("ruff", "check", "."), ("ruff", "check", "--fix", ".")),
        Linter("ruff format", ("ruff", "format", "--check", "."), ("ruff", "format", ".")),
        Linter("mypy", ("mypy",)),
        Linter("import-linter", ("lint-imports",)),
        Linter("yamllint", ("yamllint", "--strict", ".")),
        Linter("shellcheck", ("shellcheck", *shell_scripts(root))),
    )


@task(help={"fix": "mend what ruff can mend"})
def lint(session: Session, fix: bool = False) -> None:
    """Run every linter, also after one complained, and say of each whether it is content. Example: ./inv lint --fix."""
    from metallab.run.local import run

    install_tools(session.events)
    root = paths.repo_root()
    programs = Path(sys.executable).parent
    complaints: list[str] = []
    for linter in linters(root):
        argv = linter.fix if fix and linter.fix is not None else linter.argv
        with session.events.step(linter.title) as step:
            result = run([programs / argv[0], *argv[1:]], timeout=LINTER_TIMEOUT, cwd=root, check=False)
            step.result("good" if result.ok else "complains")
        if not result.ok:
            complaints.append(linter.title)
            console.line((result.stdout + result.stderr).rstrip())
    if complaints:
        raise LabError(errors.HOST_TESTS_FAILED, f"not content: {', '.join(complaints)}")


@task(help={"yes": "install host packages without asking", "fast": "only what needs no machine (seconds)"})
def test(session: Session, yes: bool = False, fast: bool = False) -> None:
    """Run the tests, also on a real lab; words after -- go to pytest. Example: ./inv test --fast -- -k pool."""
    from metallab.run.local import replace

    install_tools(session.events)
    if not fast:
        prepare(session.events, yes=yes)
    os.chdir(paths.repo_root())
    tiers = TIERS[:1] if fast else TIERS
    # This process becomes pytest: Ctrl-C then reaches its fixtures, which take the test lab down.
    replace([sys.executable, "-m", "pytest", *(f"tests/{tier}" for tier in tiers), *session.remainder])


def prepare(events: Events, *, yes: bool) -> None:
    """Make what the tests of real parts need: host packages, bundle, box. Here and not in a fixture, to be seen.

    Without root they are left out; the tests that need them then say so in pytest's summary.
    """
    from metallab import box as boxes
    from metallab import bundle as bundles
    from metallab import providers
    from metallab.host.packages import FOR_TESTS
    from metallab.tasks.setup import install

    if os.geteuid() != 0:
        events.warn("integration and end-to-end tests need root: they will be skipped")
        return
    install(events, yes=yes, purposes=FOR_TESTS)
    box = boxes.build(bundles.build(events), events)
    for provider in ("libvirt", "virtualbox"):
        providers.of(provider).build_box(box, events)


def install_tools(events: Events) -> None:
    """Install what tests and linters need into the venv, by the hashes of requirements/dev.txt, once.

    Raises LAB-HOST-004 when pip cannot.
    """
    from metallab import lock
    from metallab.run.local import run

    requirements = paths.repo_root() / "requirements" / "dev.txt"
    stamp = Path(sys.prefix) / "metallab-dev.txt"
    wanted = requirements.read_bytes()
    if stamp.exists() and stamp.read_bytes() == wanted:
        return
    with lock.held(Path(sys.prefix) / "metallab-dev.lock", "the tools in .venv"), events.step("test tools") as step:
        step.progress("pip installs requirements/dev.txt into .venv")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
        run([*pip, "--require-hashes", "-r", requirements], timeout=INSTALL_TIMEOUT)
        stamp.write_bytes(wanted)


def shell_scripts(root: Path) -> tuple[str, ...]:
    """Return the shell scripts of the repository, known by their first line, relative to its root."""
    return tuple(sorted(str(path.relative_to(root)) for path in _candidates(root) if _is_shell(path)))


def _candidates(root: Path) -> Iterator[Path]:
    yield from (root / "inv", root / ".ci" / "run")
    for folder in (root / "provision", root / "tests" / "bench", root / "lessons"):
        yield from (path for path in folder.rglob("*") if path.is_file())


def _is_shell(path: Path) -> bool:
    with path.open("rb") as file:
        return re.match(rb"#!\s*\S*(/| )(sh|bash)\b", file.readline()) is not None
