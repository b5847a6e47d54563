"""kubeadm: its configuration files, what is done in which state, and that secrets stay where they belong."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from metallab import errors
from metallab.cluster import files, kubeadm, kubeadm_config
from metallab.cluster.api import Cluster
from metallab.cluster.kubeadm import State
from metallab.cluster.kubeadm_config import Token
from metallab.config import Lab, parse
from metallab.errors import LabError
from metallab.events import Event, Events, Kind
from metallab.redaction import redact
from metallab.run.result import Argv, CommandFailed, OnLine, Result

DATA = Path(__file__).parent.parent / "data" / "cluster"
TOKEN = Token("abcdef", "0123456789abcdef")
FINALIZED = (DATA / "kubelet-finalized.conf").read_text()
PROC_STATUS = (DATA / "proc-self-status.txt").read_text()


@dataclass(frozen=True)
class Held:
    kubernetes: str = "v1.37.2"
    etcd_tag: str = "3.7.3-0"
    coredns_tag: str = "v1.15.0"


Answer = tuple[int, str, str]


@dataclass
class Machine:
    """A machine that answers by the program's name (and first word), and remembers what it was asked."""

    answers: dict[str, Answer | Callable[[list[str]], Answer]]
    name: str = "control-plane"
    asked: list[list[str]] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002 - the word of Runner
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        assert timeout > 0
        words = [str(word) for word in argv]
        self.asked.append(words)
        if input is not None:
            self.inputs.append(input.encode() if isinstance(input, str) else input)
        answer = self.answers.get(" ".join(words[:2])) or self.answers.get(words[0]) or (0, "", "")
        rc, stdout, stderr = answer(words) if callable(answer) else answer
        for line in stdout.splitlines():
            if on_line is not None:
                on_line(line)
        result = Result(tuple(words), rc, stdout, stderr, 0.0, self.name)
        if check and not result.ok:
            raise CommandFailed(result)
        return result

    def ran(self, *words: str) -> bool:
        return any(tuple(asked[: len(words)]) == words for asked in self.asked)

    def written(self) -> dict[str, tuple[int, str]]:
        found = {}
        for data in self.inputs:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                for entry in archive:
                    stream = archive.extractfile(entry)
                    assert stream is not None
                    found[f"/{entry.name}"] = (entry.mode, stream.read().decode())
        return found


NO_API: Answer = (1, "", "The connection to the server was refused")
FRESH: dict[str, Answer | Callable[[list[str]], Answer]] = {
    "kubectl": lambda words: (0, "", "") if "delete" in words else NO_API,
    "cat /etc/kubernetes/kubelet.conf": (1, "", "No such file or directory"),
    "cat /proc/self/status": (0, PROC_STATUS, ""),
    "sha256sum": (1, "", "No such file or directory"),
    "kubeadm init": (0, "[preflight] Running pre-flight checks\n[certs] Using certificateDir folder\n", ""),
}


def init(machine: Machine) -> list[Event]:
    seen: list[Event] = []
    with Events(seen.append).step("control plane") as step:
        kubeadm.init(Lab(), machine, Held(), step)
    return seen


def test_init_config_is_the_known_one() -> None:
    text = kubeadm_config.init_config(Lab(), Held(), TOKEN, "/run/metallab/patches", lacks_resources=False)
    assert text == (DATA / "init.yaml").read_text()


def test_join_config_is_the_known_one() -> None:
    text = kubeadm_config.join_config(Lab(), Lab().workers[0], TOKEN, "/run/metallab/discovery.conf")
    assert text == (DATA / "join.yaml").read_text()
    assert kubeadm_config.discovery(Lab(), "Q0E=") == (DATA / "discovery.yaml").read_text()


def test_one_line_moves_every_address() -> None:
    lab = parse("network: 172.30.5.0/24")
    text = kubeadm_config.init_config(lab, Held(), TOKEN, "/p", lacks_resources=False)
    assert "192.168.96" not in text
    assert "172.30.5.10" in text


def test_gate_only_where_the_capability_is_missing() -> None:
    for lacks in (True, False):
        text = kubeadm_config.init_config(Lab(), Held(), TOKEN, "/p", lacks_resources=lacks)
        kubelet = next(item for item in yaml.safe_load_all(text) if item["kind"] == "KubeletConfiguration")
        assert ("featureGates" in kubelet) is lacks


def test_without_workers_the_control_plane_takes_pods() -> None:
    machines = "[{name: cp, role: control-plane, host: 10}, {name: c, role: client, host: 200}]"
    alone = kubeadm_config.init_config(parse(f"machines: {machines}"), Held(), TOKEN, "/p", lacks_resources=False)
    assert next(yaml.safe_load_all(alone))["nodeRegistration"]["taints"] == []
    with_workers = kubeadm_config.init_config(Lab(), Held(), TOKEN, "/p", lacks_resources=False)
    assert "taints" not in next(yaml.safe_load_all(with_workers))["nodeRegistration"]


@pytest.mark.parametrize(
    ("answers", "conf", "found", "state"),
    [
        (True, None, False, State.DONE),
        (False, None, False, State.NOTHING),
        (False, None, True, State.HALF),
        (False, "client-certificate-data: QQ==", True, State.HALF),
        (False, FINALIZED, True, State.SILENT),
    ],
)
def test_how_far_init_has_come(answers: bool, conf: str | None, found: bool, state: State) -> None:  # noqa: FBT001
    assert kubeadm.init_state(answers=answers, kubelet_conf=conf, found=found) is state


OURS = {kubeadm.AUTHORITY: files.fingerprint("CA"), kubeadm.KUBELET_CONF: "x"}


@pytest.mark.parametrize(
    ("known", "there", "state"),
    [
        (False, {}, State.NOTHING),
        (True, {}, State.NOTHING),
        (True, OURS, State.DONE),
        (False, OURS, State.HALF),
        (True, {kubeadm.AUTHORITY: files.fingerprint("CA"), kubeadm.BOOTSTRAP_CONF: "x"}, State.HALF),
        (True, {**OURS, kubeadm.AUTHORITY: files.fingerprint("of a cluster that is gone")}, State.HALF),
    ],
)
def test_how_far_join_has_come(known: bool, there: dict[str, str], state: State) -> None:  # noqa: FBT001
    assert kubeadm.join_state(known=known, there=there, authority="CA") is state


def test_init_on_a_fresh_machine() -> None:
    machine = Machine(dict(FRESH))
    seen = init(machine)
    assert machine.ran("kubeadm", "init", f"--config={kubeadm.CONFIG}")
    assert not machine.ran("kubeadm", "reset")
    texts = [event.text for event in seen if event.kind is Kind.PROGRESS]
    assert texts == ["checking the machine", "making certificates"]
    assert (seen[-1].kind, seen[-1].text) == (Kind.DONE, "v1.37.2")


def test_init_keeps_the_token_out_of_arguments_and_off_the_disk() -> None:
    machine = Machine(dict(FRESH))
    init(machine)
    mode, text = machine.written()[kubeadm.CONFIG]
    token = next(yaml.safe_load_all(text))["bootstrapTokens"][0]["token"]
    assert mode == 0o600
    assert kubeadm.CONFIG.startswith("/run/")
    secret = token.partition(".")[2]
    assert all(secret not in word for words in machine.asked for word in words)
    assert machine.asked[-2][:2] == ["rm", "--force"]
    assert kubeadm.CONFIG in machine.asked[-2]
    assert f"bootstrap-token-{token.partition('.')[0]}" in machine.asked[-1]


def test_init_again_does_nothing() -> None:
    machine = Machine({"kubectl": (0, "node/control-plane\ndaemonset.apps/kube-proxy\n", "")})
    seen = init(machine)
    assert seen[-1].kind is Kind.SKIPPED
    assert not machine.ran("kubeadm")


def test_a_half_made_control_plane_is_reset_first() -> None:
    machine = Machine({**FRESH, "sha256sum": (1, f"{'0' * 64}  {kubeadm.ADMIN}\n", "")})
    init(machine)
    order = [words[1] for words in machine.asked if words[0] == "kubeadm"]
    assert order == ["reset", "init"]


def test_a_complete_control_plane_is_never_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeadm, "BOOT_SECONDS", 0.1)
    machine = Machine(
        {
            **FRESH,
            "cat /etc/kubernetes/kubelet.conf": (0, FINALIZED, ""),
            "sha256sum": (1, f"{'0' * 64}  {kubeadm.ADMIN}\n", ""),
        }
    )
    with pytest.raises(LabError) as caught:
        init(machine)
    assert caught.value.entry is errors.CLUSTER_UNREACHABLE
    assert "connection to the server was refused" in caught.value.detail
    assert not machine.ran("kubeadm")


def test_a_control_plane_that_comes_back_is_done() -> None:
    answers = iter([NO_API, NO_API, (0, "node/control-plane\n", "")])
    machine = Machine(
        {
            "kubectl": lambda _words: next(answers),
            "cat /etc/kubernetes/kubelet.conf": (0, FINALIZED, ""),
            "sha256sum": (0, f"{'0' * 64}  {kubeadm.ADMIN}\n", ""),
        }
    )
    assert init(machine)[-1].kind is Kind.SKIPPED
    assert machine.ran("systemctl", "start", "containerd.service", "kubelet.service")


def test_init_that_fails_says_where_and_hides_the_token() -> None:
    def fail(_words: list[str]) -> Answer:
        return 1, "[certs] Using certificateDir folder\n", "error: no such luck with token abcdef.0123456789abcdef\n"

    machine = Machine({**FRESH, "kubeadm init": fail})
    with pytest.raises(LabError) as caught:
        init(machine)
    assert caught.value.entry is errors.CLUSTER_INIT_FAILED
    assert caught.value.what == "kubeadm init failed while making certificates"
    assert caught.value.where == "control-plane"
    assert caught.value.detail == "error: no such luck with token <redacted: bootstrap token>"
    assert machine.asked[-1][:2] == ["rm", "--force"]


def test_tokens_are_random_and_well_formed() -> None:
    tokens = {str(kubeadm.new_token()) for _ in range(50)}
    assert len(tokens) == 50
    assert all(redact(token) == "<redacted: bootstrap token>" for token in tokens)


def test_who_has_a_token_is_asked_with_it_in_a_file_and_not_in_an_argument(tmp_path: Path) -> None:
    machine = Machine({"kubectl": (1, "", "error: You must be logged in to the server (Unauthorized)")})
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(kubeadm_config.discovery(Lab(), "Q0E="))
    said = kubeadm.whoami(Lab(), machine, Cluster(kubeconfig), TOKEN)
    assert "Unauthorized" in said.tail, "a refusal is an answer"
    ((path, (mode, text)),) = machine.written().items()
    assert (path, mode) == (kubeadm.BEARER, files.SECRET)
    assert yaml.safe_load(text)["users"] == [{"name": "nobody", "user": {"token": str(TOKEN)}}]
    assert TOKEN.secret not in str(machine.asked)
    assert machine.ran("kubectl", f"--kubeconfig={path}")
    assert machine.asked[-1] == ["rm", "--force", "--", path]


def test_a_short_lived_certificate_names_what_the_cluster_s_own_names() -> None:
    settings = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\ncertificatesDir: /etc/kubernetes/pki\n"
    text = kubeadm_config.short_lived(Lab(), settings + "apiServer: {certSANs: [lab]}\n", "/run/elsewhere")
    init, cluster = yaml.safe_load_all(text)
    assert init["localAPIEndpoint"]["advertiseAddress"] == str(Lab().address(Lab().control_plane))
    assert cluster["apiServer"] == {"certSANs": ["lab"]}
    assert (cluster["certificatesDir"], cluster["certificateValidityPeriod"]) == ("/run/elsewhere", "1s")


def test_token_secret_grants_what_a_joining_node_needs_and_no_more() -> None:
    secret = kubeadm_config.token_secret(TOKEN, "2026-11-23T12:00:00Z")
    assert secret["metadata"] == {"name": "bootstrap-token-abcdef", "namespace": "kube-system"}
    assert "usage-bootstrap-signing" not in secret["stringData"]
    json.dumps(secret)


def test_kubeconfig_is_called_after_the_lab() -> None:
    text = yaml.safe_dump(
        {
            "clusters": [{"name": "kubernetes", "cluster": {"server": "https://x"}}],
            "users": [{"name": "kubernetes-admin", "user": {}}],
            "contexts": [{"name": "a@b", "context": {"cluster": "kubernetes", "user": "kubernetes-admin"}}],
            "current-context": "a@b",
        }
    )
    renamed = yaml.safe_load(kubeadm.kubeconfig(Lab(), Machine({"cat": (0, text, "")})))
    assert renamed["current-context"] == "metallab"
    assert renamed["contexts"] == [{"name": "metallab", "context": {"cluster": "metallab", "user": "metallab"}}]
    assert renamed["clusters"][0] == {"name": "metallab", "cluster": {"server": "https://x"}}


def test_unknown_lines_of_kubeadm_are_no_phase() -> None:
    assert kubeadm.phase("[addons] Applied essential addon: CoreDNS") == "adding CoreDNS and kube-proxy"
    assert kubeadm.phase("Your Kubernetes control-plane has initialized successfully!") is None
    assert kubeadm.phase("[nobody-knows] x") is None
