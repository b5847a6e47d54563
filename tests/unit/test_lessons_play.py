"""A learner's story without a lab: how far somebody is, what scripts get, what is refused before anything is done."""

from __future__ import annotations

import json
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from metallab import bundle as bundles
from metallab import errors
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import silent
from metallab.lessons import base, killercoda, learner, play, progress, scripts, sheet, words, workshop
from metallab.lessons import format as lessons
from metallab.lessons.progress import Progress
from metallab.machines.labdir import LabDir
from metallab.site import Site

LAB = Lab()
ONE, *_, SIX = lessons.shelf()


@pytest.fixture
def labdir(tmp_path: Path) -> LabDir:
    folder = LabDir(tmp_path / "lab")
    folder.path.mkdir()
    folder.write_secret(folder.kubeconfig, "admin's\n")
    return folder


@pytest.fixture
def site(labdir: LabDir) -> Site:
    return cast("Site", SimpleNamespace(lab=LAB, labdir=labdir))


# -- how far somebody is -----------------------------------------------------------------------------------------


def test_progress_is_kept_for_its_owner_only(labdir: LabDir) -> None:
    kept = Progress("1-one-address", ready=True, step=2, hints=1, facts={"X": "y"}, passed={"1-one-address": 1})
    progress.save(labdir, kept)
    assert progress.load(labdir) == kept
    (file,) = progress.folder(labdir).iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "[]", "{}x", '{"current": 3}', '{"colour": "red"}', '{"step": "2"}'])
def test_progress_that_cannot_be_read_is_none(labdir: LabDir, text: str) -> None:
    labdir.write_secret(progress.folder(labdir) / "progress.json", text)
    assert progress.load(labdir) == Progress()


def test_a_step_that_was_passed_is_remembered_also_when_another_lesson_begins() -> None:
    at = Progress().begin(ONE).pass_step().pass_step()
    assert (at.step, at.hints, at.passed) == (3, 0, {ONE.name: 2})
    other = at.begin(SIX)
    assert (other.current, other.step, other.ready) == (SIX.name, 1, False)
    assert other.begin(ONE).pass_step().passed == {ONE.name: 2}


def test_without_a_lesson_there_is_nothing_to_check(site: Site) -> None:
    for ask in (lambda: play.check(site, silent()), lambda: play.hint(site), lambda: play.solve(site, silent())):
        with pytest.raises(LabError, match="LAB-LSN-002"):
            ask()
    with pytest.raises(LabError, match="LAB-LSN-002"):
        play.reset(LAB, site, silent())


def test_an_interrupted_start_has_to_be_made_again(site: Site) -> None:
    progress.save(site.labdir, Progress().begin(SIX))
    with pytest.raises(LabError, match="LAB-LSN-005") as caught:
        play.check(site, silent())
    assert caught.value.fix == "run: ./inv lesson.start 6"


def test_hints_come_one_more_at_a_time_and_stay_at_the_last(site: Site) -> None:
    progress.save(site.labdir, replace(Progress().begin(ONE), ready=True))
    assert [play.hint(site)[2] for _ in range(4)] == [1, 2, 3, 3]


def test_a_lesson_that_is_passed_has_no_step(site: Site) -> None:
    progress.save(site.labdir, replace(Progress().begin(ONE), ready=True, step=5))
    assert play.check(site, silent()) == (ONE, None, [])
    assert play.hint(site) == (ONE, None, 0)
    assert play.solve(site, silent())[1] is None


def test_a_lesson_that_is_going_on_is_not_started_again(site: Site) -> None:
    known = replace(Progress().begin(ONE), ready=True, step=2)
    progress.save(site.labdir, known)
    # The imitated site has neither runners nor a cluster: whatever touched the lab would fail.
    assert play.start(LAB, site, "1", silent()) == (ONE, known)


def machines(*, workers: int) -> Lab:
    named = [{"name": f"w{number}", "role": "worker", "host": 10 + number} for number in range(1, workers + 1)]
    others = [{"name": "cp", "role": "control-plane", "host": 10}, {"name": "client", "role": "client", "host": 200}]
    return Lab.model_validate({"machines": [*others, *named]})


@pytest.mark.parametrize(
    ("lab", "words"),
    [
        (machines(workers=1), "needs 2 workers, lab.yaml has 1"),
        (Lab.model_validate({"pool": "70-72"}), "needs a pool of 6 addresses, lab.yaml has 3"),
    ],
)
def test_a_lab_that_is_too_small_is_refused_before_it_is_touched(lab: Lab, words: str) -> None:
    untouched = cast("Site", SimpleNamespace())
    with pytest.raises(LabError, match="LAB-LSN-006") as caught:
        play.start(lab, untouched, "3", silent())
    assert words in caught.value.what


# -- scripts -----------------------------------------------------------------------------------------------------


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle whose kubectl tells with which kubeconfig and words it was called."""
    program = tmp_path / "bundle" / "bin" / "kubectl"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$KUBECONFIG: $*"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(bundles, "require", lambda: SimpleNamespace(dir=tmp_path / "bundle"))
    return program


def script(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "script.sh"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_script_has_the_lesson_s_values_and_both_ways_to_the_cluster(
    site: Site, kubectl: Path, tmp_path: Path
) -> None:
    heard: list[str] = []
    text = 'echo "at $VIP"\nkubectl get "a b"\nlearner get pods\n'
    printed = scripts.play(site, script(tmp_path, text), lessons.values(LAB), heard.append)
    assert printed.splitlines() == [
        "at 192.168.96.70",
        f"{site.labdir.kubeconfig}: get a b",
        f"{learner.kubeconfig_of(site.labdir)}: get pods",
    ]
    assert heard[0] == "at 192.168.96.70"
    assert scripts.answer(printed + "\n\n") == printed.splitlines()[-1]
    assert scripts.answer("") == ""


def test_on_hands_words_to_a_machine_as_they_are(labdir: LabDir, tmp_path: Path) -> None:
    """ssh is imitated by a program that does what sshd does: give the line to a shell."""
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor line; do :; done\nexec sh -c "$line"\n', encoding="utf-8")
    ssh.chmod(0o755)
    shell = scripts.words(LAB, labdir, Path("/kubectl"))
    done = subprocess.run(
        ["bash", "-euc", shell + """on client printf '<%s>' 'two  words' '$HOME' "it's"; on nobody true"""],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == "<two  words><$HOME><it's>"
    assert done.returncode == 1
    assert "no machine nobody" in done.stderr


def test_a_script_that_fails_is_told_with_its_last_words(site: Site, kubectl: Path, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="LAB-LSN-004") as caught:
        scripts.play(site, script(tmp_path, "echo trouble >&2\nfalse | cat\n"), {})
    assert "trouble" in caught.value.detail
    with pytest.raises(LabError, match="LAB-LSN-004"):
        scripts.play(site, script(tmp_path, 'echo "$NOT_SET"'), {})


def test_facts_are_lines_and_a_missing_one_is_an_error() -> None:
    printed = "service patched\nFAULT_PORT=6123\nOTHER=1\nFAULT_MAC=\n"
    assert scripts.facts(printed, ["FAULT_PORT"], Path("start.sh")) == {"FAULT_PORT": "6123"}
    with pytest.raises(LabError, match="LAB-LSN-004") as caught:
        scripts.facts(printed, ["FAULT_PORT", "FAULT_MAC"], Path("start.sh"))
    assert caught.value.what == "it did not say FAULT_MAC"


# -- the learner's own way ---------------------------------------------------------------------------------------


def test_a_learner_s_kubeconfig_has_a_token_and_nothing_of_the_admin() -> None:
    admins = yaml.safe_dump(
        {
            "clusters": [{"cluster": {"certificate-authority-data": "Q0E=", "server": "https://192.168.96.10:6443"}}],
            "users": [{"user": {"client-key-data": "SECRET"}}],
        }
    )
    text = learner.kubeconfig(admins, "the-token")
    assert "SECRET" not in text
    made = yaml.safe_load(text)
    assert made["clusters"][0]["cluster"]["server"] == "https://192.168.96.10:6443"
    assert made["users"][0]["user"] == {"token": "the-token"}
    assert made["contexts"][0]["context"]["namespace"] == "lesson"


def test_without_a_lesson_a_learner_has_no_way_to_the_cluster(labdir: LabDir) -> None:
    with pytest.raises(LabError, match="LAB-LSN-002"):
        learner.require(labdir)


# -- the start ---------------------------------------------------------------------------------------------------


class Recorder:
    """A cluster that has one object and writes down what is changed."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.done: list[Any] = []

    def get(self, *_words: str) -> dict[str, Any]:
        return {"spec": self.spec}

    def patch(self, _version: str, _kind: str, _name: str, change: Any, _namespace: str) -> None:
        self.done.append(change)

    def apply(self, item: Any) -> bool:
        self.done.append(item["spec"])
        return True


def test_an_object_gets_back_its_spec_and_loses_what_was_added() -> None:
    item = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "lab", "namespace": "n"}, "spec": {"a": 1}}
    cluster = Recorder({"a": 2, "nodeSelectors": []})
    base.settle(cast("Any", cluster), item)
    assert cluster.done == [{"spec": {"nodeSelectors": None}}, {"a": 1}]
    untouched = Recorder({"a": 1})
    base.settle(cast("Any", untouched), item)
    assert untouched.done == [{"a": 1}]


# -- what is drawn -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lesson", lessons.shelf(), ids=lambda lesson: lesson.name)
def test_a_lesson_becomes_a_scenario(lesson: lessons.Lesson, tmp_path: Path) -> None:
    folder = killercoda.export(lesson, LAB, tmp_path)
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    assert index["backend"]["imageid"]
    named = [index["details"]["intro"]["text"], index["details"]["intro"]["background"]]
    named += [index["details"]["finish"]["text"]]
    for step in index["details"]["steps"]:
        assert step["title"]
        named += [step["text"], step["verify"]]
    assert sorted([*named, "index.json"]) == sorted(path.name for path in folder.iterdir())
    for number, step in enumerate(lesson.steps, start=1):
        verify = folder / f"verify{number}.sh"
        assert verify.stat().st_mode & 0o111
        assert f"--step {number}" in verify.read_text(encoding="utf-8")
        assert ("~/answer" in verify.read_text(encoding="utf-8")) is bool(step.question)
        text = (folder / f"step{number}.md").read_text(encoding="utf-8")
        assert "{VIP}" not in text
        assert text.count("<details>") == len(step.hints)


def test_a_learner_reads_where_he_is_and_never_what_has_to_be_found() -> None:
    at = replace(Progress().begin(SIX), ready=True, facts={"FAULT_PORT": "6123"})
    assert words.now(LAB, SIX, at).startswith("## Step 1 of 3: The client\n")
    assert "./inv lesson.check --answer" in words.now(LAB, SIX, at)
    passed = replace(at, step=4, passed={SIX.name: 3})
    assert words.now(LAB, SIX, passed).startswith("## Passed\n")
    assert "https://metallb.io/troubleshooting/" in words.now(LAB, SIX, passed)
    assert words.row(SIX, passed)[3] == "3 of 3 (going on)"
    assert words.hints(LAB, SIX.steps[0], 2).count("**Hint") == 2
    assert "6123" not in words.hints(LAB, SIX.steps[2], 3)
    assert "```sh\n#!/bin/bash\n" in words.solution(SIX.steps[0])
    assert "{VIP}" not in words.intro(LAB, SIX)


def rehearsed(trouble: str = "") -> workshop.Rehearsal:
    return workshop.Rehearsal(ONE, 12.4, (3.0, 4.0), trouble)


def test_the_sheet_says_how_it_went_and_needs_nothing_else() -> None:
    memory = workshop.Memory({"worker-1": 2048, "client": 512}, 16000, 9000)
    page = sheet.page(LAB, [rehearsed(), rehearsed("step 3: <b>it</b> failed")], memory)
    assert "1 of 2 lessons can be held" in page
    assert "&lt;b&gt;it&lt;/b&gt; failed" in page
    assert "2560 MiB" in page
    assert "src=" not in page
    assert "http://" not in page
    assert sheet.row(rehearsed()) == ("1", "One address for TCP and UDP", "12 s", "7 s", "ok")


def test_a_lesson_that_fails_does_not_keep_the_next_from_being_played(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[str] = []

    def start(_lab: Lab, _site: Site, name: str, _events: Any, *, again: bool) -> None:
        assert again
        played.append(name)

    def solve(_site: Site, _events: Any) -> None:
        if played[-1] == ONE.name:
            raise LabError(errors.LESSON_SCRIPT_FAILED, "it did not end well")

    monkeypatch.setattr(play, "start", start)
    monkeypatch.setattr(play, "solve", solve)
    first, second = workshop.rehearse(LAB, cast("Site", None), [ONE, SIX], silent())
    assert first.trouble == "step 1: it did not end well (LAB-LSN-004)"
    assert (second.ok, len(second.step_seconds)) == (True, 3)
