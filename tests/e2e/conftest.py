"""A real lab, driven as a user drives it: by ``./inv`` in a process of its own, from nothing to nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]
UP_SECONDS = 600


@dataclass(frozen=True)
class User:
    """Somebody at a shell with one lab file."""

    lab_file: Path
    state: Path
    prefix: tuple[str, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """Return the shell's environment; the cache is the host's own, since everything in it is keyed by content."""
        named = {"LAB_FILE": str(self.lab_file), "XDG_STATE_HOME": str(self.state), "NO_COLOR": "1", **dict(self.extra)}
        return {**os.environ, **named}

    def inv(
        self, *words: str, expect: int | tuple[int, ...] = 0, timeout: float = UP_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Type a command and look at its exit code."""
        done = subprocess.run(
            [*self.prefix, REPO / "inv", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        shown = f"$ ./inv {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        print(shown)
        assert done.returncode in (expect if isinstance(expect, tuple) else (expect,)), shown
        return done

    def interrupt(self, *words: str, at: str, seconds: float, number: signal.Signals) -> int:
        """Type a command and press Ctrl-C (or worse) ``seconds`` after it began a step; return its exit code."""

        def press(process: subprocess.Popen[str]) -> None:
            time.sleep(seconds)
            assert process.poll() is None, "the command ended before it could be interrupted"
            os.killpg(process.pid, number)

        return self.meanwhile(*words, at=at, do=press)[0]

    def meanwhile(self, *words: str, at: str, do: Callable[[subprocess.Popen[str]], object]) -> tuple[int, str]:
        """Type a command, do something else when it begins the step ``at``; return its exit code and what it said then.

        In a process group of its own, as a shell would. What runs in the background of a script ignores Ctrl-C and its
        children inherit that, so it is taken back.
        """
        with subprocess.Popen(
            ["env", "--default-signal=INT", *self.prefix, REPO / "inv", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stderr is not None
            began = next((line for line in process.stderr if line.rstrip().endswith(f"… {at}")), None)
            assert began is not None, f"the command ended before it began: {at}"
            do(process)
            _, said = process.communicate(timeout=300)
            return process.returncode, said

    def json(self, *words: str, expect: int | tuple[int, ...] = 0, timeout: float = UP_SECONDS) -> Any:
        """Type a command with ``-o json`` and read its answer."""
        return json.loads(self.inv(*words, "-o", "json", expect=expect, timeout=timeout).stdout)

    def proof(self, timeout: float = UP_SECONDS, only: str = "") -> Any:
        """Prove the lab and return the report; ``only`` are ids, where the whole was seen before.

        A warning is no failure: the host may be slow, and a small pool may have no address for a check beside the core.
        """
        report = self.json("verify", *(("--only", only) if only else ()), expect=(0, 3), timeout=timeout)
        not_passed = {check["id"]: check["verdict"] for check in report["checks"] if check["verdict"] != "pass"}
        assert set(not_passed.values()) <= {"not-run"}
        assert not not_passed.keys() & set(report["required"])
        return report

    def kubectl(self, *words: str) -> str:
        """Ask the cluster."""
        return self.inv("kubectl", "--", *words).stdout


def need_root() -> None:
    """Skip, loudly, where no lab can run."""
    if os.geteuid() != 0:
        pytest.skip("END-TO-END TESTS NOT RUN: they start a lab of their own, which needs root")


@pytest.fixture(scope="session")
def built() -> None:
    """Have the bundle and the box; the second time this takes a second."""
    need_root()
    nobody = User(REPO / "lab.yaml", Path("/nonexistent"))
    nobody.inv("bundle.build", timeout=3600)
    nobody.inv("box.build", timeout=1800)


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, built: None) -> Iterator[User]:
    """A user whose lab is called e2e; it is destroyed at the end, whatever happened."""
    folder = tmp_path_factory.mktemp("e2e")
    (folder / "lab.yaml").write_text("name: e2e\n")
    someone = User(folder / "lab.yaml", folder / "state")
    try:
        yield someone
    finally:
        subprocess.run(
            [REPO / "inv", "lab.destroy", "--yes"],
            env=someone.environment,
            check=False,
            capture_output=True,
            timeout=300,
        )


@dataclass(frozen=True)
class Leftovers:
    """What a lab could leave behind on a host. Another lab may be running beside it."""

    namespaces: frozenset[str]
    processes: frozenset[str]
    mounts: frozenset[str]
    interfaces: frozenset[str]
    folders: frozenset[str]

    @classmethod
    def now(cls, lab: str = "e2e") -> Leftovers:
        """Look at the host."""
        mounts = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
        return cls(
            namespaces=frozenset(_lines("ip", "netns", "list")) & {f"metallab-{lab}"},
            processes=frozenset(_processes(lab)),
            mounts=frozenset(mount for mount in mounts if lab in mount),
            interfaces=frozenset(path.name for path in Path("/sys/class/net").iterdir()),
            folders=frozenset(
                [
                    *map(str, Path("/run/metallab").glob(lab)),
                    *map(str, Path("/run/netns").glob(f"metallab-{lab}")),
                    *map(str, Path("/sys/fs/cgroup").glob(f"**/metallab-{lab}")),
                ]
            ),
        )


def _lines(*argv: str) -> Sequence[str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line.split()[0] for line in done.stdout.splitlines() if line]


def _processes(lab: str) -> Iterator[str]:
    """Yield the processes that name the lab on their command line or run in its cgroups."""
    marks = (f"/metallab/{lab}/".encode(), f"metallab-{lab}".encode())
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words, cgroup = (entry / "cmdline").read_bytes(), (entry / "cgroup").read_text()
            except OSError:
                continue
            if any(mark in words for mark in marks) or f"/metallab-{lab}/" in cgroup:
                yield f"{entry.name} {words.decode(errors='replace')}"
