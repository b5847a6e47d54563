"""A lesson's folder: strict, whole, and true to the commands and values there are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

import tasks
from metallab import paths
from metallab.config import Lab
from metallab.errors import LabError
from metallab.lessons import format as lessons
from metallab.lessons.format import AnswerCheck, Lesson

ROOT = paths.repo_root() / "lessons"
SHELF = lessons.shelf()
NAMES = set(tasks.ns.task_names)
CODE_WIDTH = 96
"""A line of a code block that is longer would be broken on a terminal of 100 columns, and could not be copied."""


def named(lesson: Lesson) -> str:
    return lesson.name


def texts(lesson: Lesson) -> list[str]:
    hints = [hint for step in lesson.steps for hint in step.hints]
    return [lesson.intro, lesson.finish, *hints, *(step.text for step in lesson.steps)]


def test_the_first_six_are_there_in_order() -> None:
    assert [lesson.number for lesson in SHELF] == [1, 2, 3, 4, 5, 6]
    assert lessons.find("3") == lessons.find("3-failover") == SHELF[2]


def test_a_lesson_there_is_not_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(LabError, match="LAB-LSN-001") as caught:
        lessons.find("7")
    assert "3 (3-failover)" in caught.value.fix


@pytest.mark.parametrize("lesson", SHELF, ids=named)
def test_a_step_asks_a_question_exactly_when_it_checks_an_answer(lesson: Lesson) -> None:
    for step in lesson.steps:
        asked = [check for check in step.checks if isinstance(check, AnswerCheck)]
        assert len(asked) == (1 if step.question else 0), step.title


@pytest.mark.parametrize("lesson", SHELF, ids=named)
def test_hints_get_longer_and_the_last_has_a_command_or_a_field(lesson: Lesson) -> None:
    for step in lesson.steps:
        assert len(step.hints) == 3
        assert "./inv" not in step.hints[0]
        assert len(step.hints[-1]) > len(step.hints[0]) / 2


@pytest.mark.parametrize("lesson", SHELF, ids=named)
def test_a_lesson_says_what_to_see_and_why_and_where_it_is_written(lesson: Lesson) -> None:
    assert "**Why it is so.**" in lesson.finish
    assert sum("**What to see.**" in step.text for step in lesson.steps) >= len(lesson.steps) - 1
    assert any("rfc" in link or "kubernetes.io" in link for link in lesson.settings.links.values())
    assert any("metallb" in link or "hashicorp" in link for link in lesson.settings.links.values())


@pytest.mark.parametrize("lesson", SHELF, ids=named)
def test_commands_in_a_lesson_exist_with_the_options_shown(lesson: Lesson) -> None:
    for text in texts(lesson):
        for line in re.findall(r"\./inv ([a-z0-9.]+[^\n`|]*)", text):
            words = line.split(" -- ")[0].split()
            assert words[0] in NAMES, line
            flags = {f"--{flag}" for argument in tasks.ns[words[0]].get_arguments() for flag in argument.names}
            assert {word for word in words if word.startswith("--") and word != "--"} <= flags, line


@pytest.mark.parametrize("lesson", SHELF, ids=named)
def test_a_line_of_code_fits_a_terminal(lesson: Lesson) -> None:
    known = lessons.values(Lab())
    for text in texts(lesson):
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            assert all(len(lessons.fill(line, known)) <= CODE_WIDTH for line in block.splitlines()), block


@pytest.mark.parametrize("lesson", SHELF, ids=named)
def test_the_start_says_the_facts_that_the_lesson_promises(lesson: Lesson) -> None:
    said = (
        set() if lesson.start is None else set(re.findall(r'^echo "([A-Z_]+)=', lesson.start.read_text(), re.MULTILINE))
    )
    assert said == set(lesson.settings.facts)


@pytest.mark.parametrize("lesson", SHELF, ids=named)
def test_no_text_and_no_hint_holds_what_has_to_be_found(lesson: Lesson) -> None:
    for text in texts(lesson):
        assert not set(lessons.PLACEHOLDER.findall(text)) & set(lesson.settings.facts)


@pytest.mark.parametrize("lesson", SHELF, ids=named)
def test_a_lesson_has_three_wrong_attempts_for_the_end_to_end_tests(lesson: Lesson) -> None:
    file = paths.repo_root() / "tests" / "data" / "lessons" / f"{lesson.name}.yaml"
    attempts = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert len(attempts) >= 3
    for attempt in attempts:
        assert attempt.keys() <= {"step", "do", "answer", "says", "undo"}
        assert 1 <= attempt["step"] <= len(lesson.steps)
        assert len(attempt["says"]) > 10
        assert attempt.keys() & {"do", "answer"}


def test_the_order_of_the_election_script_is_the_lab_s_own() -> None:
    from metallab.cluster.metallb_status import predicted_announcer  # noqa: PLC0415
    from metallab.run.local import run  # noqa: PLC0415

    nodes = ["control-plane", "worker-1", "worker-2"]
    for last in (64, 70, 71, 95):
        address = f"192.168.96.{last}"
        printed = run(["bash", str(ROOT / "election"), address, *nodes], timeout=10).stdout
        assert printed.strip() == predicted_announcer(nodes, address)


# -- values in braces --------------------------------------------------------------------------------------------


def test_values_follow_the_lab_file() -> None:
    lab = Lab.model_validate({"network": "10.9.0.0/24", "pool": "100-120", "sharedAddress": 100})
    known = lessons.values(lab)
    assert lessons.fill("{VIP} {SECOND} {MORE} {PINNED} {POOL_FIRST}", known) == (
        "10.9.0.100 10.9.0.101 10.9.0.117-10.9.0.120 10.9.0.120 10.9.0.100"
    )
    assert lessons.fill("{FAULT_MAC} {.items[0].x} ${VIP", known) == "{FAULT_MAC} {.items[0].x} ${VIP"


@pytest.mark.parametrize("pool", ["70-70", "70-73"])
def test_a_pool_without_room_has_no_second_range(pool: str) -> None:
    assert lessons.values(Lab.model_validate({"pool": pool}))["MORE"] == ""


# -- folders that are none ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "1-one-address", tmp_path / "1-one-address"))


def spoil(folder: Path, old: str, new: str) -> None:
    file = folder / "lesson.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("minutes: 20", "minutes: soon", "minutes"),
        ("minutes: 20", "minutes: 20\ncolour: red", "colour"),
        ("check: iperf3, protocol: TCP", "check: iperf3, protocol: SCTP", "protocol"),
        ("check: iperf3, protocol: TCP", "check: magic", "magic"),
        ("asks: announcer", "asks: nicely", "asks"),
        ('"{VIP}"', '"{VAP}"', "{VAP}"),
        ("title: And back", "name: And back", "title"),
        ("https://www.rfc-editor.org/rfc/rfc9293", "http://www.rfc-editor.org/rfc/rfc9293", "links"),
        ("steps:", "steps: [", "not YAML"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_name(folder: Path, old: str, new: str, words: str) -> None:
    spoil(folder, old, new)
    with pytest.raises(LabError, match="LAB-LSN-003") as caught:
        lessons.read(folder)
    assert words in caught.value.what + caught.value.detail
    assert caught.value.where == str(folder)


@pytest.mark.parametrize("name", ["lesson.yaml", "intro.md", "finish.md", "step-2.md", "step-4.sh"])
def test_a_folder_without_one_of_its_files_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(LabError, match="LAB-LSN-003") as caught:
        lessons.read(folder)
    assert name in caught.value.what


def test_a_folder_without_a_number_is_refused(folder: Path) -> None:
    with pytest.raises(LabError, match="LAB-LSN-003"):
        lessons.read(folder.rename(folder.with_name("one-address")))
