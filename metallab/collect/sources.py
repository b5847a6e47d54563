"""Where a bug report's parts come from: the host, the lab's folder, each machine over SSH, the cluster's API.

A source is only described here. Whatever the lab lacks, the others still say something: pods' logs are read from the
API and, for the day it is dead, from each node's files as well.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metallab import paths
from metallab.cluster.api import Cluster, Object
from metallab.config import Lab, Machine
from metallab.host import doctor
from metallab.host.doctor import Known
from metallab.machines.labdir import LabDir
from metallab.overview import Observer
from metallab.redaction import of_key, redact_object
from metallab.run import local
from metallab.run.result import Result, Runner
from metallab.site import made

LINES = 2000
"""Of a journal, and of a pod's log."""
FILE_LINES = 300
"""Of each container's log as a file on its node."""
FILE_BYTES = 2**22
"""Of the end of a log on this host."""
ASK_SECONDS = 10.0
MACHINE_SECONDS = 15.0
READ_SECONDS = 10.0
BUSY_SECONDS = 3.0
ANSWER_SECONDS = 3.0
API = "API server"
STATUS = "status.json"
VARIABLES = ("LAB_FILE", "DOCKER_HOST", "LIBVIRT_DEFAULT_URI", "PATH", "LANG", "TERM", "CI")
PREFIXES = ("METALLAB_", "VAGRANT_", "XDG_")


@dataclass(frozen=True)
class Source:
    """One part of the report, or several: ``read`` returns its text, or the sources it found.

    ``path`` is where it lies in the archive, ``where`` the host or machine it is from, ``how`` the command or question.
    """

    path: str
    where: str
    how: str
    read: Callable[[], str | Sequence[Source]]


class Incomplete(Exception):
    """What was asked answered, and said that something is wrong; ``text`` is what it said."""

    def __init__(self, why: str, text: str) -> None:
        super().__init__(why)
        self.text = text


# -- this host --------------------------------------------------------------------------------------------------


def host(lab: Lab) -> Iterator[Source]:
    """Yield what this host says of itself."""
    yield Source("host/doctor.json", "host", "./inv doctor", lambda: _json(_diagnosis(lab)))
    yield Source("host/system.json", "host", "platform", lambda: _json(_system()))
    yield Source("host/environment.txt", "host", "environment", lambda: environment(os.environ))
    for name, argv in HOST.items():
        yield Source(f"host/{name}", "host", " ".join(argv), functools.partial(_run_here, argv))


HOST = {
    "vagrant.txt": ("vagrant", "--version"),
    "docker.txt": ("docker", "version"),
    "namespaces.txt": ("ip", "netns", "list"),
    "processes.txt": ("ps", "-eo", "pid,ppid,stat,rss,etime,comm"),
    "disks.txt": ("df", "--human-readable"),
    "memory.txt": ("free", "--mebi"),
    "kernel.txt": ("dmesg", "--ctime", "--level=emerg,alert,crit,err,warn"),
    "commit.txt": ("git", "-C", str(paths.repo_root()), "log", "-1", "--format=%H %cI"),
    "changes.txt": ("git", "-C", str(paths.repo_root()), "status", "--short"),
}


def _diagnosis(lab: Lab) -> dict[str, Any]:
    return doctor.diagnose(lab, Known(made(lab))).to_dict()


def environment(variables: Mapping[str, str]) -> str:
    """Return the variables that change what the lab does, as lines; proxies included."""
    told = [
        f"{name}={value}\n"
        for name, value in sorted(variables.items())
        if name in VARIABLES or name.startswith(PREFIXES) or name.lower().endswith("_proxy")
    ]
    return "".join(told)


def _system() -> dict[str, object]:
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "user": os.geteuid(),
    }


# -- the lab's folder -------------------------------------------------------------------------------------------


def folder(lab: Lab, labdir: LabDir) -> Iterator[Source]:
    """Yield what the lab's folder holds, keys left out."""
    yield Source("lab/lab.yaml", "host", str(paths.lab_file()), lambda: end_of(paths.lab_file()))
    yield Source(
        "lab/resolved.json", "host", "./inv config.show", lambda: _json(lab.model_dump(mode="json", by_alias=True))
    )
    logs = (labdir.vagrant_log, labdir.daemon_log)
    for file in (labdir.inventory, labdir.record, labdir.pace, labdir.merged, labdir.restoring, *logs):
        if file.exists():
            yield Source(f"lab/{file.name}", "host", str(file), functools.partial(end_of, file))
    yield Source("lab/folder.txt", "host", str(labdir.path), lambda: _listing(labdir.path))


def end_of(file: Path, most: int = FILE_BYTES) -> str:
    """Return the end of a file, from a line's beginning."""
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - most))
        text = stream.read(most).decode(errors="replace")
    return text if size <= most else text.partition("\n")[2]


def _listing(top: Path) -> str:
    """List names, modes and sizes; the image clones, which are thousands of files, only by their folder."""
    lines = []
    for place, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if name != "containerd")
        for name in sorted(files):
            entry = Path(place, name).lstat()
            lines.append(f"{entry.st_mode:06o} {entry.st_size:>10} {Path(place, name).relative_to(top)}\n")
    return "".join(lines)


# -- machines ---------------------------------------------------------------------------------------------------

TAIL = 'for file in "$@"; do [ -f "$file" ] || continue; echo "== $file"; tail -n "$lines" "$file"; echo; done'
EVERYWHERE = {
    "network.txt": ("sh", "-c", "ip address; echo; ip route; echo; ip neighbour; echo; ss --numeric --listening --tcp"),
    "nft.txt": ("nft", "--numeric", "list", "ruleset"),
    "dmesg.txt": ("sh", "-c", "dmesg | tail -n 500"),
    "system.txt": ("sh", "-c", "uname -a; date --utc; uptime; free -m; df -h; systemctl --failed --no-pager"),
    "processes.txt": ("ps", "-eo", "pid,ppid,stat,rss,etime,args"),
    "journal-sshd.txt": ("journalctl", "--unit=ssh", f"--lines={LINES}", "--no-pager", "--output=short-iso"),
}
ON_NODES = {
    "journal-kubelet.txt": ("journalctl", "--unit=kubelet", f"--lines={LINES}", "--no-pager", "--output=short-iso"),
    "journal-containerd.txt": (
        "journalctl",
        "--unit=containerd",
        f"--lines={LINES}",
        "--no-pager",
        "--output=short-iso",
    ),
    "containers.txt": (
        *("sh", "-c"),
        (
            "ctr --namespace k8s.io containers list; echo; ctr --namespace k8s.io tasks list; echo; "
            "ctr --namespace k8s.io images list --quiet"
        ),
    ),
    "settings.txt": (
        *("sh", "-c"),
        (
            f"lines=1000; set -- /var/lib/kubelet/config.yaml /var/lib/kubelet/*.env /etc/default/kubelet "
            f"/etc/kubernetes/manifests/*.yaml /etc/cni/net.d/* /etc/containerd/config.toml; {TAIL}"
        ),
    ),
    "pod-logs.txt": ("sh", "-c", f"lines={FILE_LINES}; set -- /var/log/pods/*/*/*.log; {TAIL}"),
}


def machine(one: Machine, runner: Runner, *, is_node: bool) -> Iterator[Source]:
    """Yield what a machine says of itself. The commands are bounded by lines, and each by time."""
    commands = {**EVERYWHERE, **ON_NODES} if is_node else EVERYWHERE
    for name, argv in commands.items():
        path = f"machines/{one.name}/{name}"
        yield Source(path, one.name, " ".join(argv), functools.partial(_run_there, runner, argv))


# -- the cluster ------------------------------------------------------------------------------------------------

KINDS = (
    *(("v1", kind) for kind in ("Node", "Pod", "Service", "Event", "Namespace")),
    *(("apps/v1", kind) for kind in ("Deployment", "DaemonSet", "ReplicaSet")),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("coordination.k8s.io/v1", "Lease"),
    *(("metallb.io/v1beta1", kind) for kind in ("IPAddressPool", "L2Advertisement", "ServiceL2Status")),
)


def cluster(api: Cluster) -> Iterator[Source]:
    """Yield objects, and the logs of every container, also of the one before it."""
    for api_version, kind in KINDS:
        path = f"cluster/{kind.lower()}.json"
        yield Source(path, API, f"GET {api_version} {kind}", functools.partial(_objects, api, api_version, kind))
    yield Source("cluster/logs", API, "GET v1 Pod", lambda: [*_logs(api, api.list("v1", "Pod"))])


def _logs(api: Cluster, pods: Sequence[Object]) -> Iterator[Source]:
    for pod in pods:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        for state in pod["status"].get("containerStatuses", []):
            for previous in (False, True)[: 1 + bool(state["restartCount"])]:
                ending = ".previous.log" if previous else ".log"
                container = state["name"]
                read = functools.partial(api.logs, namespace, name, container, lines=LINES, previous=previous)
                path = f"cluster/logs/{namespace}/{name}/{container}{ending}"
                yield Source(path, API, f"logs of {namespace}/{name} {container}", read)


def secrets(api: Cluster, keep: Callable[[Iterable[str]], None]) -> Source:
    """Return the question for every value of every Secret: they are looked for in all parts, and never a part."""

    def read() -> str:
        found = api.list("v1", "Secret")
        keep(values_of(found))
        return "".join(f"{one['metadata']['namespace']}/{one['metadata']['name']} ({one['type']})\n" for one in found)

    return Source("cluster/secrets.txt", API, "GET v1 Secret, only their names", read)


def values_of(found: Sequence[Object]) -> Iterator[str]:
    """Yield every value of Secrets, as it is written and as it is meant."""
    for secret in found:
        for key, value in (secret.get("data") or {}).items():
            if not key.endswith(PUBLIC):
                meant = base64.b64decode(value).decode(errors="replace")
                yield value
                yield meant
                yield from of_key(meant)


PUBLIC = (".crt", "namespace", "description", "expiration", "auth-extra-groups", "token-id", "username")
"""Parts of Secrets that are none: certificates, and words that are everywhere."""


# -- everything together ----------------------------------------------------------------------------------------


def status(observer: Observer) -> Source:
    """Return what ``lab.status`` shows."""
    return Source(STATUS, "host", "./inv lab.status -o json", lambda: _json(observer.look().to_dict()))


def _objects(api: Cluster, api_version: str, kind: str) -> str:
    return _json(redact_object(api.list(api_version, kind)))


def _run_here(argv: Sequence[str]) -> str:
    return _said(local.run(argv, timeout=ASK_SECONDS, check=False))


def _run_there(runner: Runner, argv: Sequence[str]) -> str:
    return _said(runner.run(argv, timeout=MACHINE_SECONDS, check=False))


def _said(result: Result) -> str:
    """Return what a command printed. Raises :class:`Incomplete` when it ended with another status than 0."""
    text = result.stdout + (f"\n[stderr]\n{result.stderr}" if result.stderr.strip() else "")
    if not result.ok:
        last = result.tail.splitlines()
        raise Incomplete(f"exit status {result.rc}" + (f": {last[-1]}" if last else ""), text)
    return text


def _json(value: object) -> str:
    return json.dumps(value, indent=1, default=str) + "\n"
