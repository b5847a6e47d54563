"""Vagrant: the only place that runs it, and the only home of python-vagrant.

Two limits of it are absorbed here. Several vagrants at once get in each other's way: the docker provider lists
containers while another process creates one and then fails on the half-made one. Such failures are known by their
words and tried again. And python-vagrant neither streams errors nor has timeouts, so it never runs the program itself:
it only builds the words of the short, parsed calls and reads their answers.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from metallab import errors, paths
from metallab.errors import LabError
from metallab.events import Step
from metallab.machines.labdir import LabDir
from metallab.run import pace
from metallab.run.local import run
from metallab.run.result import OnLine, Result, ToolMissing
from metallab.run.wait import pause

_T = TypeVar("_T")
HALT_SECONDS = 600
ASK_SECONDS = 120
TELL_SECONDS = 60
"""How long vagrant may take to tell what it knows, at the machines' pace; of four it took 5.5 s on a busy host."""
SNAPSHOT_SECONDS = 900
BOX_SECONDS = 900
TRIES = 6
RACE = ("No such object", "No such container", "no such container")
"""What docker says of a container that another vagrant is just creating."""
TAKEN = (
    "is already in use by container",
    "about to create is already taken",
    "Volume for domain is already created",
    "A VirtualBox machine with the name",
)
"""What docker, vagrant-libvirt and VirtualBox say of a machine an interrupted ``up`` left, unknown to Vagrant."""
LOCKED = "another process is already executing an action"
"""What vagrant says while the one of a killed command, which nobody waits for, is still at work."""
LOCKED_SECONDS = 3.0
KEEP_BOXES = 2
"""How many versions of the lab's own box stay in Vagrant: another checkout may be at work with the one before."""
SHARED = ("boxes", "gems", "plugins.json")
"""What of the user's own Vagrant a lab uses: boxes and plugins."""
STAGGER = 0.7
"""Seconds between two starts of vagrant: measured, nearly no race is left and nothing is lost."""


@dataclass(frozen=True)
class Vagrant:
    """Vagrant for one lab. ``environment`` leads it to the lab's Docker daemon."""

    labdir: LabDir
    environment: dict[str, str]

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables vagrant needs: the resolved inventory, its own state, and no calls home."""
        return {
            **self.environment,
            "METALLAB_INVENTORY": str(self.labdir.inventory),
            "VAGRANT_CWD": str(paths.repo_root()),
            "VAGRANT_DOTFILE_PATH": str(self.records),
            # Vagrant locks a machine by its name and the Vagrantfile's folder: two labs of one checkout would wait
            # for each other.
            "VAGRANT_HOME": str(self.home),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
        }

    @property
    def records(self) -> Path:
        """Return the folder in which Vagrant keeps what it knows of the lab's machines."""
        return paths.repo_root() / ".vagrant" if paths.is_own_lab() else self.labdir.path / "vagrant"

    def has_made(self, name: str) -> bool:
        """Tell whether Vagrant knows a machine of this name, running or not. Reads its record and starts no process."""
        return any(self.records.glob(f"machines/{name}/*/id"))

    def states(self) -> dict[str, str]:
        """Return each machine's state in Vagrant's words (running, stopped, not_created ...).

        Raises LAB-MACH-008 when vagrant cannot tell, LAB-HOST-005 when it does not come to an end.
        """
        return self._library("status").status()

    def up(self, name: str, on_line: OnLine, *, seconds: float, leftovers: Sequence[Sequence[str]], new: bool) -> None:
        """Bring one machine up within ``seconds``. Safe to call side by side for several machines.

        ``leftovers`` are the commands that remove a machine which an interrupted ``up`` left and Vagrant does not know.
        ``new`` says that the machine never let us in: Vagrant then provisions it, also when an interrupted ``up`` has
        begun to, which Vagrant alone takes for done. Raises LAB-MACH-001 with the end of Vagrant's output.
        """
        words = ["up", name, *(["--provision"] if new else [])]
        for left in reversed(range(TRIES)):
            result = self._call(words, seconds, on_line)
            if result.ok:
                return
            said = " ".join((result.stdout + result.stderr).split())
            if any(words in said for words in TAKEN):
                for argv in leftovers:
                    run(argv, timeout=60, env=self.environment, check=False)
            elif LOCKED in said:
                pause(LOCKED_SECONDS)
            elif not any(words in said for words in RACE):
                break
            if left:
                on_line("another vagrant was in the way; once more")
        raise LabError(errors.MACHINE_UP_FAILED, f"vagrant up {name} failed", where=name, detail=result.tail)

    def addresses(self, name: str) -> str:
        """Return what a machine says its addresses are, asked by Vagrant's own way in; empty when it does not answer.

        For a machine that the lab cannot reach where it should be.
        """
        result = self._call(["ssh", name, "--command", "ip -brief -4 address"], ASK_SECONDS, lambda _line: None)
        return result.stdout.strip() if result.ok else ""

    def halt(self, name: str, on_line: OnLine, *, force: bool = False) -> None:
        """Power one machine off, in order, or with ``force`` as if somebody pulled the plug. Raises LAB-MACH-008.

        Safe to call side by side for several machines.
        """
        result = self._call(["halt", *(["--force"] if force else []), name], HALT_SECONDS, on_line)
        if not result.ok:
            raise _failed(f"halt {name}", result.tail)

    def destroy(self, on_line: OnLine) -> None:
        """Destroy every machine and Vagrant's record of them. Raises LAB-MACH-008."""
        result = self._call(["destroy", "--force"], HALT_SECONDS, on_line)
        if not result.ok:
            raise _failed("destroy", result.tail)

    def snapshot(self, words: Sequence[str], on_line: OnLine) -> None:
        """Save, restore or delete a snapshot of one machine by Vagrant's own means. Raises LAB-MACH-008."""
        result = self._call(["snapshot", *words], SNAPSHOT_SECONDS, on_line)
        if not result.ok:
            raise _failed(f"snapshot {words[0]}", result.tail)

    def snapshots(self, name: str) -> Sequence[str]:
        """Return every word of Vagrant's list of a machine's snapshots, their names among them."""
        return self._call(["snapshot", "list", name], HALT_SECONDS, lambda _line: None).stdout.split()

    def add_box(self, name: str, version: str, provider: str, catalogue: Path, step: Step) -> None:
        """Have a box in the user's own Vagrant, added from a catalogue file that holds its hash. Raises LAB-BOX-001."""
        if self.box_folder(name, version, provider) is not None:
            step.skip("already there")
            return
        step.progress("vagrant box add")
        words = ["box", "add", "--provider", provider, "--box-version", version, str(catalogue)]
        # Before there is an inventory, the Vagrantfile has nothing to read; a box concerns no machine.
        result = self._call(words, BOX_SECONDS, step.progress, {"VAGRANT_VAGRANTFILE": "no-Vagrantfile"})
        if not result.ok and self.box_folder(name, version, provider) is None:
            raise LabError(errors.BOX_BUILD_FAILED, "vagrant could not add the box", detail=result.tail)
        versions = sorted((self.home / "boxes" / name).glob("[0-9]*"), key=lambda folder: folder.stat().st_mtime)
        for old in versions[:-KEEP_BOXES]:
            shutil.rmtree(old, ignore_errors=True)
        step.result(f"{name} {version}")

    def fetch_box(self, name: str, version: str | None, provider: str, step: Step) -> Path:
        """Have somebody else's box in the user's Vagrant, of a version or the newest; return its folder.

        Only one that is not there yet is downloaded, from wherever the user's Vagrant gets boxes. Raises LAB-BOX-001.
        """
        known = self.box_folder(name, version, provider)
        if known is not None:
            step.skip(f"{name} is there")
            return known
        step.progress(f"vagrant box add {name}")
        exactly = ["--box-version", version] if version is not None else []
        words = ["box", "add", "--provider", provider, *exactly, name]
        result = self._call(words, BOX_SECONDS, step.progress, {"VAGRANT_VAGRANTFILE": "no-Vagrantfile"})
        known = self.box_folder(name, version, provider)
        if not result.ok or known is None:
            fix = f"add it by hand (vagrant box add --name {name} FILE), or correct box: in lab.yaml"
            what = f"Vagrant cannot get the box {name} for {provider}"
            raise LabError(errors.BOX_BUILD_FAILED, what, fix=fix, detail=result.tail)
        return known

    def box_folder(self, name: str, version: str | None, provider: str) -> Path | None:
        """Return where a box lies, the newest one without ``version``, or None.

        From Vagrant 2.4 on there is a folder for the architecture in between.
        """
        boxes = self.home / "boxes" / name.replace("/", "-VAGRANTSLASH-")
        found = sorted(boxes.glob(f"{version or '*'}/**/{provider}/metadata.json"), key=_version_of_box)
        return found[-1].parent if found else None

    @property
    def home(self) -> Path:
        """Return the lab's own home of Vagrant, in which boxes and plugins are the user's."""
        own = self.labdir.path / "vagrant.d"
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        users = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d")
        for shared in SHARED:
            link, target = own / shared, users / shared
            if shared == "boxes":
                target.mkdir(parents=True, exist_ok=True)
            if target.exists() and not link.is_symlink():
                # A vagrant of an earlier version may have made its own.
                shutil.rmtree(link, ignore_errors=True)
                link.unlink(missing_ok=True)
                with contextlib.suppress(FileExistsError):  # another thread was faster
                    link.symlink_to(target)
        return own

    def forget(self) -> None:
        """Remove Vagrant's record of the machines, once they are gone."""
        shutil.rmtree(self.records, ignore_errors=True)

    def _call(
        self, words: list[str], timeout: float, on_line: OnLine, extra: Mapping[str, str] | None = None
    ) -> Result:
        log = _Log(self.labdir.vagrant_log, f"vagrant {' '.join(words)}")

        def tell(line: str) -> None:
            log.write(line)
            on_line(line)

        return run(
            ["vagrant", "--no-color", *words],
            timeout=timeout,
            env={**self.variables, **(extra or {})},
            cwd=paths.repo_root(),
            check=False,
            on_line=tell,
        )

    def _library(self, call: str) -> _Library:
        return _Library(call, self.variables)


def _version_of_box(path: Path) -> tuple[int, ...]:
    """Return a box's version as numbers; its folder is called by it, one above the provider's or the architecture's."""
    for part in reversed(path.parts):
        if re.fullmatch(r"\d+(\.\w+)*", part):
            return tuple(int(number) for number in re.findall(r"\d+", part))
    return ()


class _Library:
    """python-vagrant, which builds the words and reads the answer; the program itself is run like every other one."""

    def __init__(self, call: str, variables: dict[str, str]) -> None:
        import vagrant  # noqa: PLC0415 - only a few commands need it

        if vagrant.get_vagrant_executable() is None:
            raise ToolMissing("vagrant")
        self._call = call
        self._variables = variables
        self._said = ""
        self._vagrant = vagrant.Vagrant(root=str(paths.repo_root()))
        # Its own knows no time limit.
        self._vagrant._run_vagrant_command = self._run  # type: ignore[method-assign] # noqa: SLF001

    def status(self) -> dict[str, str]:
        return self._read(lambda: {row.name: row.state for row in self._vagrant.status()})

    def conf(self, vm_name: str) -> dict[str, str]:
        return self._read(lambda: dict(self._vagrant.conf(vm_name=vm_name)))

    def _run(self, words: Sequence[str | None]) -> str:
        argv = ["vagrant", *(word for word in words if word is not None)]
        timeout = pace.scaled(TELL_SECONDS)
        result = run(argv, timeout=timeout, env=self._variables, cwd=paths.repo_root(), check=False)
        self._said = result.stderr or result.stdout
        if not result.ok:
            raise _failed(self._call, self._said)
        return result.stdout

    def _read(self, ask: Callable[[], _T]) -> _T:
        try:
            return ask()
        # Where vagrant says something the library cannot read, that fails on its own parser.
        except (LookupError, ValueError, AttributeError, TypeError) as error:
            raise _failed(self._call, self._said or str(error)) from error


class _Log:
    """Keeps everything vagrant says in one file, lines of several vagrants mixed but whole."""

    _lock = threading.Lock()

    def __init__(self, path: Path, title: str) -> None:
        self._path = path
        self.write(f"$ {title}")

    def write(self, line: str) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _failed(call: str, said: str) -> LabError:
    tail = "\n".join(said.strip().splitlines()[-12:])
    return LabError(errors.VAGRANT_FAILED, f"vagrant {call} failed", detail=tail)
