"""A bug report of a lab that is broken in every way, full of secrets: what comes is there, what is secret is not."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import stat
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from metallab import collect, errors
from metallab.collect import archive, sources
from metallab.collect.archive import Part
from metallab.collect.gather import LATE, STUCK, Group, gather
from metallab.collect.sources import Incomplete, Source
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import silent
from metallab.host import doctor
from metallab.machines.labdir import LabDir
from metallab.run import cancel
from metallab.run.result import CommandTimedOut, Result
from metallab.site import Site

LAB = Lab(name="mine")


def pem(kind: str, seed: str) -> str:
    body = base64.b64encode(hashlib.sha512(seed.encode()).digest() * 3).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {kind}PRIVATE KEY-----", *lines, f"-----END {kind}PRIVATE KEY-----", ""])


CANARIES = {
    "bootstrap token": "c4nary.0123456789abcdef",
    "join token in kubelet args": "j01nxx.fedcba9876543210",
    "CA key": pem("RSA ", "ca"),
    "etcd key": pem("EC ", "etcd"),
    "SSH login key": pem("OPENSSH ", "login"),
    "SSH host key": pem("OPENSSH ", "host"),
    "kubeconfig client key": base64.b64encode(pem("RSA ", "admin").encode()).decode(),
    "kubeconfig token": "c4narytoken0of0the0kubeconfig",
    "proxy password in a variable": "c4nary%40proxy",
    "proxy password in a URL": "c4nary/pr0xy",
    "memberlist secret": base64.b64encode(b"c4nary memberlist key of 32 byte").decode(),
    "certificate key": hashlib.sha256(b"certificate key").hexdigest(),
    "basic auth": base64.b64encode(b"c4nary:basic-auth-in-a-header").decode(),
    "bearer token": "eyJhbGciOiJSUzI1NiJ9.eyJjNG5hcnkiOnRydWV9.c2lnbmF0dXJl",
    "registry login": base64.b64encode(b"robot:c4nary-registry").decode(),
    "password in YAML": "c4nary-password-in-yaml",
    "password in an environment variable of a pod": "c4nary-database",
    "opaque secret told in a log": "c4naryOpaqueValueOnlyTheClusterKnows",
    "user of curl": "someone:c4nary-curl",
    "TLS key of a webhook": pem("", "webhook"),
    "inner JSON": "c4nary-inner-json",
}


@dataclass
class Machine:
    """A machine that prints every secret there is; or one that is down."""

    name: str
    says: str = ""
    down: bool = False
    slow: bool = False
    asked: list[str] = field(default_factory=list)

    def answers(self, _timeout: float = 0) -> bool:
        return not self.down

    def run(self, argv: Sequence[str], *, timeout: float, check: bool = True, **_: Any) -> Result:
        self.asked.append(" ".join(argv))
        if self.slow:
            raise CommandTimedOut(argv, timeout, self.name, self.says)
        rc = 1 if argv[0] == "nft" else 0
        return Result(tuple(argv), rc, self.says, self.says if rc else "", 0.1, self.name)


class Api:
    """A cluster whose Secrets are known, and whose pods tell them."""

    def __init__(self, _kubeconfig: Path, **_: float) -> None:
        self.says = "\n".join(CANARIES.values())

    def list(self, _api_version: str, kind: str) -> list[dict[str, Any]]:
        meta = {"namespace": "metallb-system", "name": "speaker-x"}
        if kind == "Secret":
            opaque = base64.b64encode(CANARIES["opaque secret told in a log"].encode()).decode()
            data = {"secretkey": CANARIES["memberlist secret"], "value": opaque, "namespace": "ZGVmYXVsdA=="}
            return [{"kind": "Secret", "type": "Opaque", "metadata": meta, "data": data}]
        if kind == "Pod":
            env = [{"name": "DB_PASSWORD", "value": CANARIES["password in an environment variable of a pod"]}]
            states = [{"name": "speaker", "restartCount": 1}]
            spec = {"containers": [{"name": "speaker", "env": env}]}
            return [{"kind": "Pod", "metadata": meta, "spec": spec, "status": {"containerStatuses": states}}]
        if kind == "Lease":
            raise LabError(errors.CLUSTER_UNREACHABLE, "no answer from https://192.168.96.10:6443: refused")
        return [{"kind": kind, "metadata": meta, "note": logs()}]

    def logs(self, namespace: str, pod: str, container: str, *, lines: int, previous: bool = False) -> str:
        return logs()


class NobodyLooks:
    def __init__(self, _site: Any) -> None: ...

    def look(self) -> Any:
        raise LabError(errors.VAGRANT_FAILED, "vagrant status failed", detail=logs())


def logs() -> str:
    """Return log lines with every secret, each in the form it would have there."""
    c = CANARIES
    inner = json.dumps({"password": c["inner JSON"]})
    return "\n".join(
        [
            f"kubeadm join 192.168.96.10:6443 --token {c['bootstrap token']} --certificate-key {c['certificate key']}",
            f"kubelet --bootstrap-token={c['join token in kubelet args']} --v=2",
            *(c[key] for key in ("CA key", "etcd key", "SSH login key", "SSH host key", "TLS key of a webhook")),
            json.dumps({"tls.key": c["TLS key of a webhook"]}),
            f"    client-key-data: {c['kubeconfig client key']}",
            f"    token: {c['kubeconfig token']}",
            f"proxyconnect tcp: http://someone:{c['proxy password in a URL']}@proxy.invalid:3128: refused",
            f"http_proxy=http://someone:{c['proxy password in a variable']}@proxy.invalid:3128",
            f'memberlist: {{"secretkey":"{c["memberlist secret"]}"}}',
            f"Authorization: Basic {c['basic auth']}",
            f"> GET / HTTP/1.1 Bearer {c['bearer token']}",
            json.dumps({"auths": {"registry.invalid": {"auth": c["registry login"]}}}),
            f"password: |\n  {c['password in YAML']}\nnext: line",
            f"the value is {c['opaque secret told in a log']}.",
            f"curl -u {c['user of curl']} http://example.invalid/",
            f"DB_PASSWORD={c['password in an environment variable of a pod']}",
            json.dumps({"msg": inner}),
            "and an ordinary last line",
        ]
    )


@pytest.fixture
def labdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabDir:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = tmp_path / "lab.yaml"
    file.write_text(f"name: mine\n# {logs()}\n")
    monkeypatch.setenv("LAB_FILE", str(file))
    for name in ("http_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://someone:{CANARIES['proxy password in a variable']}@proxy.invalid:3128")
    monkeypatch.setattr(sources, "HOST", {"ps.txt": ("printf", "%s", logs()), "none.txt": ("no-such-program",)})
    monkeypatch.setattr(doctor, "diagnose", lambda _lab, _known: _raise(OSError(f"no {logs()}")))
    made = LabDir.of(LAB)
    (made.path / "ssh").mkdir(parents=True)
    made.login_key.write_text(CANARIES["SSH login key"])
    made.host_key.write_text(CANARIES["SSH host key"])
    users = f"users:\n- name: a\n  user:\n    client-key-data: {CANARIES['kubeconfig client key']}\n"
    made.kubeconfig.write_text(users + f"    token: {CANARIES['kubeconfig token']}\n")
    for log in (made.vagrant_log, made.daemon_log):
        log.write_text(logs() * 3)
    made.inventory.write_text(json.dumps({"lab": "mine", "note": logs()}))
    return made


def _raise(error: Exception) -> Any:
    raise error


@pytest.fixture
def here(labdir: LabDir, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Machine]]:
    """A site whose machines and cluster tell every secret; one machine is down, one is slow."""
    machines = {machine.name: Machine(machine.name, logs()) for machine in LAB.machines}
    machines["worker-2"].down = True
    machines["client"].slow = True

    @dataclass
    class Here:
        lab: Lab
        labdir: LabDir
        choice: Any

        def runner(self, machine: Any) -> Machine:
            return machines[machine.name]

    @dataclass
    class Choice:
        provider: str = "docker"
        reason: str = "a test"

    monkeypatch.setattr(collect, "existing", lambda lab: Here(lab, labdir, Choice()))
    monkeypatch.setattr(collect, "Cluster", Api)
    monkeypatch.setattr(collect, "Observer", NobodyLooks)
    return iter([machines])


def opened(file: Path) -> dict[str, str]:
    with tarfile.open(file) as found:
        texts = {}
        for member in found.getmembers():
            assert member.mode == 0o600
            stream = found.extractfile(member)
            assert stream is not None
            top, _, path = member.name.partition("/")
            assert top == file.name.removesuffix(".tar.gz")
            texts[path] = stream.read().decode()
        return texts


def spellings(secret: str) -> Iterator[str]:
    """Yield what would still give a secret away: each of its lines, and how these are written elsewhere."""
    for line in secret.splitlines():
        if len(line) > 12 and not line.startswith("-----"):
            yield from (line, quote(line), base64.b64encode(line.encode()).decode().rstrip("="))
    if "\n" not in secret:
        yield secret


def test_no_canary_survives_in_any_part(here: Iterator[dict[str, Machine]], tmp_path: Path) -> None:
    file, contents = collect.report(LAB, tmp_path / "out", silent())
    texts = opened(file)
    told = {part["path"]: part for part in contents["parts"]}
    # Every kind of source told its secrets ...
    for path in ("lab/vagrant.log", "lab/lab.yaml", "lab/inventory.json", "host/ps.txt", "cluster/node.json"):
        assert told[path]["redacted"] >= 10, path
    for path in ("machines/worker-1/journal-kubelet.txt", "machines/control-plane/pod-logs.txt", "status.json"):
        assert "and an ordinary last line" in texts[path]
        assert told[path]["redacted"] >= len(CANARIES) - 2, path
    previous = "cluster/logs/metallb-system/speaker-x/speaker.previous.log"
    assert "and an ordinary last line" in texts[previous]
    # ... and none is left, in no spelling, not even in a name or a reason.
    raw = gzip.decompress(file.read_bytes()).decode(errors="replace")
    left = {name: word for name, secret in CANARIES.items() for word in spellings(secret) if word in raw}
    assert left == {}
    assert len(CANARIES) >= 15


def test_what_failed_is_said_and_does_not_hinder_the_rest(here: Iterator[dict[str, Machine]], tmp_path: Path) -> None:
    file, contents = collect.report(LAB, tmp_path / "out", silent())
    told = {part["path"]: part for part in contents["parts"]}
    assert told["host/none.txt"]["why"] == "no-such-program is not installed"
    assert told["host/doctor.json"]["why"].startswith("OSError: no ")
    assert told["status.json"]["why"] == "vagrant status failed"
    assert told["cluster/lease.json"]["why"].startswith("no answer from https://192.168.96.10:6443")
    assert told["machines/worker-2/nft.txt"]["state"] == "left out"
    assert told["machines/worker-2/nft.txt"]["why"] == "no SSH"
    assert told["machines/client/system.txt"]["why"].startswith("no end after 15 s: ")
    nft = told["machines/worker-1/nft.txt"]
    assert (nft["state"], nft["why"]) == ("failed", "exit status 1: and an ordinary last line")
    assert contents["counts"]["collected"] > 20
    assert contents["schema"] == "metallab.collect/1"
    texts = opened(file)
    assert json.loads(texts["manifest.json"]) == json.loads(json.dumps(contents))
    for path, part in told.items():
        assert (path in texts) == (part["bytes"] > 0)
        if path in texts:
            assert hashlib.sha256(texts[path].encode()).hexdigest() == part["sha256"]
    (machines,) = here
    assert machines["worker-2"].asked == []


def test_a_lab_that_was_never_made_has_a_report_too(
    labdir: LabDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labdir.remove()
    file, contents = collect.report(LAB, tmp_path / "out", silent())
    assert contents["problem"] == "the lab mine is not up"
    assert {"manifest.json", "lab/lab.yaml", "host/ps.txt"} <= opened(file).keys()


def test_the_archive_is_its_owners_and_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part("a/b.txt", "host", "how", "collected", text="x", bytes=1)
    file = tmp_path / "new" / "r.tar.gz"
    archive.write(file, [part], {}, 0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert opened(file)["a/b.txt"] == "x"

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    before = file.read_bytes()
    for target in (file, tmp_path / "other.tar.gz"):
        with pytest.raises(LabError) as caught:
            archive.write(target, [part], {}, 0)
        assert caught.value.entry is errors.COLLECT_UNWRITABLE
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.rglob("*.gz*")] == ["r.tar.gz"]


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError) as caught:
        archive.write(tmp_path / "file" / "r.tar.gz", [], {}, 0)
    assert caught.value.entry is errors.COLLECT_UNWRITABLE


def test_a_long_part_keeps_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    text = "".join(f"line {number}\n" for number in range(1000))
    (part,) = archive.clean([Part("p", "host", "how", "collected", text=text)], ())
    assert part.cut
    assert part.bytes == len(part.text.encode()) <= 1000
    assert part.text.startswith("line ")
    assert part.text.endswith("line 999\n")


def test_the_end_of_a_file_begins_with_a_line(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"first line\nsecond line\n\xff third\n")
    assert sources.end_of(file) == "first line\nsecond line\n\ufffd third\n"
    assert sources.end_of(file, 20) == "\ufffd third\n"


def test_time_is_over_for_what_hangs_and_for_what_waits_behind_it() -> None:
    begun = threading.Event()

    def hang() -> str:
        begun.set()
        cancel.pause(60)
        return "never"

    slow = Group([Source("b", "x", "hang", hang), Source("c", "x", "later", lambda: "never")])
    quick = Group([Source("a", "y", "quick", lambda: "there")])
    began = time.monotonic()
    parts = gather([slow, quick], 0.3, lambda _part: None)
    assert time.monotonic() - began < 5
    assert begun.is_set()
    assert [(part.path, part.state, part.why) for part in parts] == [
        ("a", "collected", ""),
        ("b", "failed", STUCK),
        ("c", "left out", LATE),
    ]
    cancel.check()  # the request to end was taken back


def test_a_source_may_find_further_ones_and_fail_with_words() -> None:
    def fail() -> str:
        raise Incomplete("exit status 2", "what it said")

    further = [Source("logs/a", "x", "a", lambda: "A"), Source("logs/b", "x", "b", fail)]
    seen: list[Part] = []
    parts = gather([Group([Source("logs", "x", "list", lambda: further)])], 5, seen.append)
    assert [(part.path, part.state, part.text, part.why) for part in parts] == [
        ("logs", "collected", "", ""),
        ("logs/a", "collected", "A", ""),
        ("logs/b", "failed", "what it said", "exit status 2"),
    ]
    assert sorted(part.path for part in seen) == ["logs", "logs/a", "logs/b"]


def test_only_variables_that_matter_are_told() -> None:
    told = sources.environment({"HOME": "/root", "METALLAB_X": "1", "no_proxy": "a", "SECRET": "b", "PATH": "/bin"})
    assert told == "METALLAB_X=1\nPATH=/bin\nno_proxy=a\n"


def test_a_site_has_what_a_report_asks_it_for() -> None:
    """The imitation above stands for this class."""
    assert {"lab", "labdir", "choice"} <= set(Site.__dataclass_fields__)
    assert callable(Site.runner)
