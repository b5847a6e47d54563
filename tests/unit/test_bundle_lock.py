"""The lock: what counts as the same, what another tool explains, and what must not be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from metallab import errors
from metallab.bundle import lock, pins
from metallab.bundle.lock import Lock, Locked
from metallab.bundle.record import Artifact, Bundle, Versions
from metallab.errors import LabError
from metallab.events import Event, Events, Kind

GO = ("arch", "go")
KUBELET = Locked("kubelet", "binary", "v1.37.2", 100, "a" * 64, GO)
RUNC = Locked("runc", "binary", "v1.5.2", 50, "b" * 64, (*GO, "gcc"))
IPERF3 = Locked("iperf3", "image", "3.12-1", 70, "c" * 64, ("arch", "debian/iperf3"))
TOOLS = {"arch": "amd64", "go": "go1.26.8", "gcc": "gcc 12.2.0", "debian/iperf3": "3.12-1"}
PROMISE = Lock("0123", TOOLS, (KUBELET, RUNC, IPERF3))


def built(*artifacts: Locked, **tools: str) -> Lock:
    changed = {artifact.name: artifact for artifact in artifacts}
    kept = tuple(changed.get(artifact.name, artifact) for artifact in PROMISE.artifacts)
    return Lock(PROMISE.key, {**TOOLS, **{name.replace("__", "/"): value for name, value in tools.items()}}, kept)


def judged(*promises: Lock, now: Lock) -> list[Event]:
    seen: list[Event] = []
    lock.judge(promises, now, Events(seen.append))
    return seen


def test_the_same_bytes_are_said_to_reproduce() -> None:
    (event,) = judged(PROMISE, now=built())
    assert event.kind is Kind.NOTE
    assert "all 3 artifacts" in event.text


def test_the_same_bytes_from_other_tools_are_the_same() -> None:
    assert lock.compare(PROMISE, built(go="go1.27.0", gcc="gcc 14")) == ()


def test_another_go_explains_what_go_makes() -> None:
    now = built(replace(KUBELET, sha256="f" * 64), replace(RUNC, sha256="e" * 64), go="go1.27.0")
    (event,) = judged(PROMISE, now=now)
    assert event.kind is Kind.WARNING
    assert "2 of 3" in event.text
    assert "go: go1.26.8 → go1.27.0" in event.text


def test_debian_moving_on_is_told_with_both_versions() -> None:
    moved = replace(IPERF3, version="3.12-2", sha256="f" * 64, size=71)
    (difference,) = lock.compare(PROMISE, built(moved, debian__iperf3="3.12-2"))
    assert difference.reasons == ("debian/iperf3: 3.12-1 → 3.12-2",)
    assert str(difference).startswith(
        "image iperf3: 3.12-1 → 3.12-2, sha256 cccccccccccc → ffffffffffff, 70 → 71 bytes"
    )


def test_another_go_does_not_explain_what_it_had_no_part_in() -> None:
    (difference,) = lock.compare(PROMISE, built(replace(IPERF3, sha256="f" * 64), go="go1.27.0"))
    assert difference.reasons == ()


def test_go_alone_must_give_the_same_bytes() -> None:
    with pytest.raises(LabError) as caught:
        judged(PROMISE, now=built(replace(KUBELET, sha256="f" * 64)))
    assert caught.value.entry is errors.BUNDLE_DIFFERS
    assert "binary kubelet" in caught.value.detail
    assert "with the same tools" in caught.value.detail


def test_an_unexplained_difference_with_gcc_in_it_is_told_but_stops_nothing() -> None:
    events = judged(PROMISE, now=built(replace(RUNC, sha256="f" * 64)))
    assert {event.kind for event in events} == {Kind.WARNING}
    assert "binary runc" in events[-1].text


@pytest.mark.parametrize(
    ("promised", "now", "what"),
    [
        (PROMISE, replace(PROMISE, artifacts=(RUNC, IPERF3)), "in the lock, but not built"),
        (replace(PROMISE, artifacts=(RUNC, IPERF3)), PROMISE, "not in the lock"),
    ],
)
def test_what_is_only_on_one_side_is_an_error_until_the_lock_is_updated(promised: Lock, now: Lock, what: str) -> None:
    with pytest.raises(LabError) as caught:
        judged(promised, now=now)
    assert what in caught.value.detail


def test_the_promise_of_the_same_go_is_taken() -> None:
    other = replace(PROMISE, toolchain={**TOOLS, "go": "go1.27.0"}, artifacts=(replace(KUBELET, sha256="f" * 64),))
    assert lock.nearest((other, PROMISE), built()) is PROMISE
    assert lock.nearest((other,), built()) is other
    assert lock.nearest((other,), built(arch="arm64")) is None


def test_without_a_promise_the_user_is_told_how_to_make_one() -> None:
    (event,) = judged(now=built())
    assert event.kind is Kind.WARNING
    assert "--update-lock" in event.text


def test_update_keeps_the_promises_of_other_compilers_for_the_same_pins_only(tmp_path: Path) -> None:
    path = tmp_path / "bundle.lock.json"
    now = replace(PROMISE, key=pins.key("amd64"))
    other_go = replace(now, toolchain={**TOOLS, "go": "go1.27.0"})
    stale = replace(PROMISE, key="old pins", toolchain={**TOOLS, "go": "go1.25.0"})
    for promise in (stale, other_go, now, now):
        lock.update(promise, path)
    assert lock.read(path) == (now, other_go)


def test_a_lock_of_a_bundle_names_no_registry(tmp_path: Path) -> None:
    image = Artifact(
        "etcd", "image", "v3.7.3", "etcd@v3.7.3", "images/etcd.tar", 1, "d" * 64, GO, "registry.example/etcd:1"
    )
    bundle = Bundle(tmp_path, pins.key("amd64"), (image,), Versions("", "", "", "", ""), TOOLS)
    lock.update(lock.of(bundle), tmp_path / "lock.json")
    assert "registry.example" not in (tmp_path / "lock.json").read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"builds": [{}]}', '{"builds": [{"key": "", "artifacts": [1]}]}'])
def test_a_damaged_lock_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "bundle.lock.json").write_text(text)
    with pytest.raises(LabError, match=r"bundle\.lock\.json cannot be read"):
        lock.read(tmp_path / "bundle.lock.json")


def test_no_lock_is_no_promise(tmp_path: Path) -> None:
    assert lock.read(tmp_path / "none.json") == ()
