"""kubeadm init and join. What is already done is read from the machines and the cluster, never remembered.

Init asks the API with the control plane's own kubectl, because before it there is no kubeconfig to reach it with from
outside; join has one.
"""

from __future__ import annotations

import base64
import enum
import re
import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import yaml

from metallab import errors, refusals
from metallab.cluster import files
from metallab.cluster import kubeadm_config as config
from metallab.cluster.api import Cluster
from metallab.cluster.kubeadm_config import Token, Versions
from metallab.cluster.tuning import ORDINARY, Tuning
from metallab.config import Lab, Machine
from metallab.errors import LabError
from metallab.events import Step
from metallab.redaction import redact
from metallab.run import capabilities, pace, wait
from metallab.run.result import CommandFailed, Result, Runner
from metallab.run.wait import NotYet

__all__ = ["Versions", "drop_token", "init", "join", "kubeconfig", "mint_token", "new_token", "whoami"]

ADMIN = "/etc/kubernetes/admin.conf"
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
AUTHORITY = "/etc/kubernetes/pki/ca.crt"
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
BOOTSTRAP_CONF = "/etc/kubernetes/bootstrap-kubelet.conf"
# /run is a tmpfs on every machine: what lies here never touches a disk.
CONFIG = "/run/metallab/kubeadm.yaml"
DISCOVERY = "/run/metallab/discovery.conf"
BEARER = "/run/metallab/bearer.conf"
PATCHES = "/run/metallab/patches"
INIT_SECONDS = 600.0
JOIN_SECONDS = 600.0
RESET_SECONDS = 120.0
ASK_SECONDS = 15.0
BOOT_SECONDS = 120.0
"""How long a control plane that was complete once may take to answer after its machine has started again."""
PHASES = {
    "preflight": "checking the machine",
    "certs": "making certificates",
    "kubeconfig": "writing kubeconfigs",
    "etcd": "writing etcd's manifest",
    "control-plane": "writing the control plane's manifests",
    "kubelet-start": "starting the kubelet",
    "kubelet-check": "waiting for the kubelet",
    "wait-control-plane": "waiting for the control plane",
    "control-plane-check": "waiting for the control plane",
    "upload-config": "storing the configuration",
    "kubelet": "storing the configuration",
    "mark-control-plane": "marking the control plane",
    "bootstrap-token": "allowing workers to join",
    "kubelet-finalize": "rotating the kubelet's certificate",
    "addons": "adding CoreDNS and kube-proxy",
    "discovery": "checking the control plane's identity",
    "kubelet-wait": "waiting for the kubelet's certificate",
}


class State(enum.Enum):
    """How far kubeadm has come on a machine."""

    NOTHING = "nothing"
    HALF = "half"
    SILENT = "silent"
    """It was complete once, but its API server does not answer."""
    DONE = "done"


# -- control plane ---------------------------------------------------------------------------------------------


def init(lab: Lab, runner: Runner, versions: Versions, step: Step, tuning: Tuning = ORDINARY) -> None:
    """Make the control plane. Done before: nothing happens. Half done: reset, then again.

    Raises LAB-CLUS-004 with kubeadm's last lines, LAB-CLUS-002 when a control plane that was complete once does not
    come back: resetting that would throw the user's cluster away.
    """
    state = control_plane_state(lab, runner)
    if state is State.SILENT:
        _await_return(lab, runner, step)
        state = State.DONE
    if state is State.DONE:
        step.skip("the control plane is already there")
        return
    if state is State.HALF:
        _reset(runner, step)
    token = new_token()
    own = capabilities.bounding_set(runner.run(["cat", capabilities.STATUS], timeout=ASK_SECONDS).stdout)
    contents = {f"{PATCHES}/{name}": text for name, text in config.patches(tuning).items()}
    lacks = "SYS_RESOURCE" not in own
    contents[CONFIG] = config.init_config(lab, versions, token, PATCHES, lacks_resources=lacks, tuning=tuning)
    with _secret_files(runner, contents):
        _kubeadm(runner, ["init", f"--config={CONFIG}"], INIT_SECONDS, step)
    # kubeadm insists on making a token; every join makes its own.
    name = config.token_secret_name(token)
    _kubectl(runner, ["delete", "secret", name, "--namespace=kube-system", "--wait=false"])
    step.result(versions.kubernetes)


def kubeconfig(lab: Lab, runner: Runner) -> str:
    """Return the administrator's kubeconfig, with the lab's name as the name of its context."""
    text = runner.run(["cat", ADMIN], timeout=ASK_SECONDS).stdout
    return rename(text, lab.name)


def rename(text: str, name: str) -> str:
    """Return a kubeconfig of one cluster with its cluster, user and context all called ``name``."""
    loaded = yaml.safe_load(text)
    for entry in ("clusters", "users", "contexts"):
        (only,) = loaded[entry]
        only["name"] = name
    loaded["contexts"][0]["context"] = {"cluster": name, "user": name}
    loaded["current-context"] = name
    dumped: str = yaml.safe_dump(loaded, sort_keys=False)
    return dumped


def init_state(*, answers: bool, kubelet_conf: str | None, found: bool) -> State:
    """Decide how far init has come.

    ``answers``: the API server knows the node and kube-proxy, the last two things init makes. ``kubelet_conf`` is
    that file's text; init's last phase but one points it to the rotated certificate. ``found``: there are any of
    kubeadm's files.
    """
    if answers:
        return State.DONE
    if kubelet_conf is not None and "kubelet-client-current.pem" in kubelet_conf:
        return State.SILENT
    return State.HALF if found else State.NOTHING


def control_plane_state(lab: Lab, runner: Runner) -> State:
    """Return how far init has come on a machine. Changes nothing there."""
    wanted = [f"node/{lab.control_plane.name}", "daemonset/kube-proxy"]
    asked = _kubectl(runner, ["get", *wanted, "--namespace=kube-system", "--output=name"], check=False)
    if asked.ok:
        return State.DONE
    conf = runner.run(["cat", KUBELET_CONF], timeout=ASK_SECONDS, check=False)
    there = files.fingerprints(runner, [ADMIN, AUTHORITY, KUBELET_CONFIG, "/etc/kubernetes/manifests/etcd.yaml"])
    state = init_state(answers=False, kubelet_conf=conf.stdout if conf.ok else None, found=bool(there))
    # An API server that answers and does not know kube-proxy was interrupted between init's last two phases.
    if state is State.SILENT and "NotFound" in asked.stderr:
        return State.HALF
    return state


def _await_return(lab: Lab, runner: Runner, step: Step) -> None:
    step.progress("waiting for the control plane to come back")
    runner.run(["systemctl", "start", "containerd.service", "kubelet.service"], timeout=BOOT_SECONDS)

    def answered() -> None:
        asked = _kubectl(runner, ["get", "node", lab.control_plane.name, "--output=name"], check=False)
        if not asked.ok:
            raise NotYet(asked.tail)

    wait.until(
        answered,
        timeout=BOOT_SECONDS,
        what="the API server to answer again",
        entry=errors.CLUSTER_UNREACHABLE,
        every=1,
        on_wait=step.progress,
    )


# -- workers ---------------------------------------------------------------------------------------------------


def join(lab: Lab, node: Machine, runner: Runner, cluster: Cluster, step: Step, tuning: Tuning = ORDINARY) -> None:
    """Make a machine a worker node. Joined before: nothing happens. Half joined: reset, then again.

    ``runner`` runs on the worker. Raises LAB-CLUS-004 with kubeadm's last lines.
    """
    authority = authority_of(refusals.own_text(cluster.kubeconfig))
    known = cluster.get("v1", "Node", node.name) is not None
    state = worker_state(runner, authority, known=known)
    if state is State.DONE:
        # Started at boot anyway; this is for a node somebody stopped it on.
        runner.run(["systemctl", "start", "containerd.service", "kubelet.service"], timeout=BOOT_SECONDS)
        step.skip("already joined")
        return
    if state is State.HALF:
        _reset(runner, step)
    if known:
        # kubeadm refuses to join a second machine under the name of a node that looks Ready.
        cluster.delete("v1", "Node", node.name)
    token = new_token()
    mint_token(cluster, token)
    try:
        contents = {
            CONFIG: config.join_config(lab, node, token, DISCOVERY, tuning),
            DISCOVERY: config.discovery(lab, authority),
        }
        with _secret_files(runner, contents):
            _kubeadm(runner, ["join", f"--config={CONFIG}"], JOIN_SECONDS, step)
    finally:
        drop_token(cluster, token)


def worker_state(runner: Runner, authority: str, *, known: bool) -> State:
    """Return how far join has come on a machine, for a cluster with this authority. Changes nothing there."""
    there = files.fingerprints(runner, [KUBELET_CONF, AUTHORITY, BOOTSTRAP_CONF, KUBELET_CONFIG])
    return join_state(known=known, there=there, authority=base64.b64decode(authority).decode())


def join_state(*, known: bool, there: dict[str, str], authority: str) -> State:
    """Decide how far join has come.

    ``known``: the cluster has a Node of that name. ``there``: fingerprints of the worker's files. ``authority``: the
    cluster's certificate authority (PEM); a worker that trusts another one belongs to a cluster that is gone.
    """
    if not there:
        return State.NOTHING
    ours = there.get(AUTHORITY) == files.fingerprint(authority)
    if known and ours and KUBELET_CONF in there:
        return State.DONE
    return State.HALF


def authority_of(kubeconfig_text: str) -> str:
    """Return the certificate authority a kubeconfig trusts, base64 of PEM. Raises LAB-HOST-016 when it names none."""
    try:
        (cluster,) = yaml.safe_load(kubeconfig_text)["clusters"]
        return str(cluster["cluster"]["certificate-authority-data"])
    except (yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise refusals.damaged("the lab's kubeconfig", error) from error


# -- tokens ----------------------------------------------------------------------------------------------------


def new_token() -> Token:
    """Return a new random bootstrap token, in the form Kubernetes demands: 6 and 16 of a-z0-9."""
    letters = string.ascii_lowercase + string.digits
    return Token(*("".join(secrets.choice(letters) for _ in range(length)) for length in (6, 16)))


def mint_token(cluster: Cluster, token: Token, life: timedelta = config.TOKEN_LIFE) -> None:
    """Make a token valid for so long, at the machines' pace."""
    # The control plane's clock decides when a token ends; 15 minutes bear some difference to ours.
    expires = (datetime.now(timezone.utc) + life * pace.factor()).strftime("%Y-%m-%dT%H:%M:%SZ")
    cluster.apply(config.token_secret(token, expires))


def drop_token(cluster: Cluster, token: Token) -> None:
    """Make a token invalid, whether it still was valid or not."""
    cluster.delete("v1", "Secret", config.token_secret_name(token), "kube-system")


def whoami(lab: Lab, runner: Runner, cluster: Cluster, token: Token) -> Result:
    """Ask the API server from a machine, as one that joins would, who has this token; it may refuse to say."""
    contents = {BEARER: config.discovery(lab, authority_of(refusals.own_text(cluster.kubeconfig)), token)}
    words = ["auth", "whoami", "--output=jsonpath={.status.userInfo.username}"]
    with _secret_files(runner, contents):
        return _kubectl(runner, words, kubeconfig=BEARER, check=False)


@contextmanager
def _secret_files(runner: Runner, contents: dict[str, str]) -> Iterator[None]:
    """Have files on a machine that only root can read, and only while they are needed."""
    files.write(runner, contents, files.SECRET)
    try:
        yield
    finally:
        files.remove(runner, list(contents))


# -- commands --------------------------------------------------------------------------------------------------


def _kubectl(runner: Runner, words: list[str], *, kubeconfig: str = ADMIN, check: bool = True) -> Result:
    argv = ["kubectl", f"--kubeconfig={kubeconfig}", f"--request-timeout={pace.scaled(ASK_SECONDS):.0f}s", *words]
    return runner.run(argv, timeout=2 * ASK_SECONDS, check=check)


def _reset(runner: Runner, step: Step) -> None:
    step.progress("clearing what an interrupted run left")
    argv = ["kubeadm", "reset", "--force", f"--cri-socket={config.CRI_SOCKET}", "--cleanup-tmp-dir"]
    runner.run(argv, timeout=RESET_SECONDS)
    # kubeadm leaves the pods' logs, from which the kubelet counts the restarts of static pods on
    # (kuberuntime_container.go, calcRestartCountByLogDir): a new control plane would look as if it had crashed.
    runner.run(["rm", "-rf", "/var/log/pods", "/var/log/containers"], timeout=RESET_SECONDS)
    # kubeadm leaves kube-proxy's rules; ready.wait_for_services must not mistake them for the next cluster's.
    runner.run(["nft", "delete", "table", "ip", "kube-proxy"], timeout=RESET_SECONDS, check=False)


def _kubeadm(runner: Runner, words: list[str], seconds: float, step: Step) -> None:
    last = ""

    def show(line: str) -> None:
        nonlocal last
        words_of = phase(line)
        if words_of is not None and words_of != last:
            last = words_of
            step.progress(words_of)

    try:
        runner.run(["kubeadm", *words], timeout=seconds, on_line=show)
    except CommandFailed as error:
        what = f"kubeadm {words[0]} failed" + (f" while {last}" if last else "")
        raise LabError(errors.CLUSTER_INIT_FAILED, what, where=runner.name, detail=redact(error.result.tail)) from error


def phase(line: str) -> str | None:
    """Return in plain words what a line of kubeadm's output begins, or None when it is no phase we know."""
    match = re.match(r"\[([a-z-]+)\]", line)
    return PHASES.get(match.group(1)) if match else None
