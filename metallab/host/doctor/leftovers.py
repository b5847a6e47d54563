"""What is left of labs that are gone: named with the command that removes it, and never removed here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from metallab import paths
from metallab.host import libvirt, netns
from metallab.host.doctor.records import Case, Check, Verdict, ok, unseen, warn
from metallab.host.sandbox import Sandbox, machine_prefix
from metallab.run.local import run
from metallab.run.result import Argv, CommandFailed, CommandTimedOut, ToolMissing

ASK_SECONDS = 20
MARK = "metallab-"
"""How the names of all that belongs to a lab begin."""


def sandboxes(case: Case) -> Verdict | None:
    """Look for namespaces and run folders of labs that have no folder here."""
    nothing = Sandbox("")
    spaces = _entries(case.root / str(netns.RUN).lstrip("/"))
    folders = _entries(case.root / str(nothing.run_dir).lstrip("/"))
    if spaces is None or folders is None:
        return unseen(f"{nothing.run_dir} is closed to this user; needs root")
    namespaces = [name.removeprefix(MARK) for name in spaces if name.startswith(MARK)]
    return judge_sandboxes(namespaces=namespaces, folders=folders, known=case.known | {case.lab.name})


def _entries(folder: Path) -> Sequence[str] | None:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return ()
    except PermissionError:
        return None


def judge_sandboxes(*, namespaces: Sequence[str], folders: Sequence[str], known: Collection[str]) -> Verdict:
    """Judge the labs that have a namespace or a run folder against those known here."""
    alive = [name for name in namespaces if name not in known]
    dead = [name for name in folders if name not in known and name not in namespaces]
    if alive:
        seen = f"a network namespace of {', '.join(alive)}, of which there is no lab folder here"
        return warn(seen, destroy(alive[0]))
    if dead:
        return warn(f"/run/metallab has folders of {', '.join(dead)}, without a lab", f"rm -r /run/metallab/{dead[0]}")
    return ok("no sandbox without a lab")


def destroy(lab: str) -> str:
    """Return the command that removes a lab by its name alone."""
    return f"echo 'name: {lab}' >/tmp/{lab}.yaml && LAB_FILE=/tmp/{lab}.yaml ./inv lab.destroy --yes"


def folders(case: Case) -> Verdict | None:
    """Look for lab folders with which no machine was ever made, and for mounts below the lab's folders."""
    names = _entries(paths.state_dir())
    mounts = case.read("/proc/self/mounts")
    if names is None or mounts is None:
        return unseen(f"{paths.state_dir()} or /proc/self/mounts cannot be read")
    own = [str(folder) for folder in (paths.state_dir(), paths.cache_dir())]
    return judge_folders(folders=names, known=case.known | {case.lab.name}, mounted=mounted(mounts, own))


def mounted(mounts: str, own: Sequence[str]) -> Sequence[str]:
    """Return what is mounted below folders of the lab's, in the text of ``/proc/self/mounts``."""
    points = [re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[1]) for line in mounts.splitlines()]
    return [point for point in points if any(point.startswith(f"{folder}/") for folder in own)]


def judge_folders(*, folders: Sequence[str], known: Collection[str], mounted: Sequence[str]) -> Verdict:
    """Judge lab folders without machines, and mounts that an interrupted build left."""
    if mounted:
        return warn(f"mounted in the lab's folders: {', '.join(mounted)}", f"sudo umount {mounted[-1]}")
    halves = [name for name in folders if name not in known]
    if halves:
        return warn(f"half a lab: the folders of {', '.join(halves)} have no machines", destroy(halves[0]))
    return ok("no lab folder without machines")


def containers(case: Case) -> Verdict | None:
    """Look for containers on the host's Docker daemon whose lab has no folder here."""
    if not case.on_the_host:
        return None
    argv = ["docker", "ps", "--all", "--filter", f"name=^{MARK}", "--format", "{{.Names}}"]
    prefixes = [machine_prefix(lab) for lab in _labs(case)]
    return _named(argv, {}, prefixes, "docker rm --force --volumes {}")


def domains(case: Case) -> Verdict | None:
    """Look for virtual machines on the host's libvirtd whose lab has no folder here."""
    if not case.on_the_host:
        return None
    # An ordinary user's virsh asks a libvirtd of the user's own unless it is told.
    virsh = f"virsh --connect {shlex.quote(libvirt.SYSTEM['LIBVIRT_DEFAULT_URI'])}"
    remove = "\n".join(" ".join((virsh, *argv[1:])) for argv in libvirt.remove_domain_argv("{}"))
    prefixes = [machine_prefix(lab) for lab in _labs(case)]
    return _named(["virsh", "list", "--all", "--name"], libvirt.SYSTEM, prefixes, remove)


def machines(case: Case) -> Verdict | None:
    """Look for VirtualBox's machines whose lab has no folder here."""
    if not case.on_the_host:
        return None
    prefixes = [machine_prefix(lab) for lab in _labs(case)]
    return _named(["VBoxManage", "list", "vms"], {}, prefixes, "VBoxManage unregistervm {} --delete")


def _labs(case: Case) -> Collection[str]:
    return case.known | {case.lab.name}


def _named(argv: Argv, environment: Mapping[str, str], prefixes: Sequence[str], remove: str) -> Verdict:
    try:
        said = run(argv, timeout=ASK_SECONDS, env={**environment, "LC_ALL": "C"}).stdout
    except (ToolMissing, CommandFailed, CommandTimedOut) as error:
        return unseen(error.what)
    return judge_named(said=said, prefixes=prefixes, remove=remove)


def judge_named(*, said: str, prefixes: Sequence[str], remove: str) -> Verdict:
    """Judge a list of names, one a line (VirtualBox puts them in quotes and an id behind), against known labs'.

    ``prefixes`` are how names of known labs begin; ``remove`` is the command for one, with {} for its name.
    """
    names = [line.split()[0].strip('"') for line in said.splitlines() if line.strip()]
    ours = [name for name in names if name.startswith(MARK)]
    left = [name for name in ours if not name.startswith(tuple(prefixes))]
    if left:
        seen = f"machines of labs without a folder here: {', '.join(left)}"
        return warn(seen, "\n".join(remove.replace("{}", name) for name in left))
    return ok("no machine without a lab")


SANDBOXES = Check("leftover.sandboxes", sandboxes)
FOLDERS = Check("leftover.folders", folders)
CONTAINERS = Check("docker.leftovers", containers)
DOMAINS = Check("libvirt.leftovers", domains)
MACHINES = Check("virtualbox.leftovers", machines)
