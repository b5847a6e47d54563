"""What the pages of lesson.serve say, without a browser and without a lab."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from metallab.classroom import pages
from metallab.classroom.desk import Desk, trouble
from metallab.cluster.api import Cluster
from metallab.config import Lab
from metallab.errors import LESSON_PORT, LabError
from metallab.lessons import format as lessons
from metallab.lessons import progress
from metallab.lessons.format import Lesson, values
from metallab.lessons.progress import Progress
from metallab.machines.labdir import LabDir
from metallab.site import Site

LAB = Lab()
SHELF = lessons.shelf()
PRE = '<pre tabindex="0" role="group" aria-label="To type">'


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = LabDir(tmp_path / "lab")
    folder.path.mkdir()
    return Desk(cast("Site", SimpleNamespace(lab=LAB, labdir=folder, cluster=Cluster(folder.kubeconfig))))


def be(desk: Desk, lesson: Lesson, **known: object) -> None:
    progress.save(desk.site.labdir, replace(Progress().begin(lesson), **{"ready": True, **known}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a <script>alert(1)</script>", "<p>a &lt;script&gt;alert(1)&lt;/script&gt;</p>\n"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("## Two", "<h4>Two</h4>\n"),
        ("##### Five", "<h6>Five</h6>\n"),
        (
            "[RFC](https://example.org)",
            '<p><a href="https://example.org" target="_blank" rel="noopener noreferrer">RFC</a></p>\n',
        ),
        (
            "```sh\necho '<b>'\n```",
            f"{PRE}<code class=\"language-sh\">echo '&lt;b&gt;'\n</code></pre>\n",
        ),
    ],
)
def test_markdown_becomes_html_and_html_stays_text(text: str, html: str) -> None:
    assert pages.markdown(text) == html


@pytest.mark.parametrize("lesson", SHELF, ids=lambda lesson: lesson.name)
def test_every_step_of_every_lesson_is_shown_with_the_labs_values(desk: Desk, lesson: Lesson) -> None:
    for number, step in enumerate(lesson.steps, start=1):
        be(desk, lesson, step=number, hints=len(step.hints))
        page = pages.lesson(desk, terminals=True)
        assert f"Step {number} of {len(lesson.steps)}" in page
        assert page.count('class="hint"') == len(step.hints)
        assert ('name="answer"' in page) is bool(step.question)
        # No name in braces is left but those that nobody is told: there is none of these in a text.
        assert not [name for name in values(LAB) if f"{{{name}}}" in page]
    be(desk, lesson, step=len(lesson.steps) + 1)
    page = pages.lesson(desk, terminals=True)
    assert 'action="/check"' not in page
    assert all(link in page for link in lesson.settings.links.values())


def test_what_a_start_has_set_is_on_no_page(desk: Desk) -> None:
    lesson = SHELF[-1]
    facts = {name: f"secret-{number}" for number, name in enumerate(lesson.settings.facts)}
    assert facts
    for number in range(1, len(lesson.steps) + 2):
        hints = len(lesson.steps[number - 1].hints) if number <= len(lesson.steps) else 0
        be(desk, lesson, step=number, facts=facts, hints=hints)
        assert "secret-" not in pages.lesson(desk, terminals=True)


def test_the_shelf_says_how_far_somebody_is(desk: Desk) -> None:
    one, two = SHELF[:2]
    be(desk, two, step=2, passed={one.name: len(one.steps), two.name: 1})
    page = pages.shelf(desk)
    assert page.count("Go on") == 1
    assert page.count("Start again") == 1
    assert "1 passed" in page


def test_without_xterm_there_is_no_terminal_and_a_word_about_it(desk: Desk) -> None:
    be(desk, SHELF[0])
    page = pages.lesson(desk, terminals=False)
    assert "xterm.js could not be fetched" in page
    assert "/static/xterm.js" not in page


def test_a_lesson_that_is_half_started_is_none(desk: Desk) -> None:
    progress.save(desk.site.labdir, Progress().begin(SHELF[0]))
    assert pages.pane(desk) == ""
    assert "<h1>Lessons</h1>" in pages.lesson(desk, terminals=True)


def test_a_mark_tells_one_place_from_another(desk: Desk) -> None:
    marks = set()
    for known in ({"step": 1}, {"step": 2}, {"step": 2, "hints": 1}):
        be(desk, SHELF[0], **known)
        marks.add(desk.mark())
        assert f'data-mark="{desk.mark()}"' in pages.pane(desk)
    assert len(marks) == 3


def test_the_client_s_terminal_comes_first(desk: Desk) -> None:
    assert desk.machines[0] == LAB.client.name
    assert sorted(desk.machines) == sorted(machine.name for machine in LAB.machines)


def test_what_cannot_be_done_is_said_with_its_id_and_what_to_do(desk: Desk) -> None:
    assert desk.start("99").id == "LAB-LSN-001"
    assert desk.reset().id == desk.check("").id == desk.hint().id == "LAB-LSN-002"
    told = trouble(LabError(LESSON_PORT, "taken", where="here", fix="go"))
    assert (told.tone, told.words, told.fix) == ("trouble", "taken (here)", "go")
