"""The catalogue of errors: unique, helpful, explained, and really raised."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from metallab import errors, guide, paths
from metallab.errors import Entry, ExitCode, LabError

ENTRIES = errors.catalogue()
NAMES = {name: value for name, value in vars(errors).items() if isinstance(value, Entry)}
GUIDE = (paths.repo_root() / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
CHAPTERS = guide.chapters()


def named(entry: Entry) -> str:
    return entry.id


def used_names() -> set[str]:
    """Return the entries that code outside the catalogue names (``errors.NAME``)."""
    found: set[str] = set()
    for file in (paths.repo_root() / "metallab").rglob("*.py"):
        if file.name != "errors.py":
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "errors":
                    found.add(node.attr)
    return found


def test_every_id_is_given_once() -> None:
    ids = [entry.id for entry in ENTRIES]
    assert sorted(set(ids)) == sorted(ids)


@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_an_entry_has_a_layer_a_meaning_and_a_next_step(entry: Entry) -> None:
    assert re.fullmatch(r"LAB-(HOST|CONF|PROV|MACH|CLUS|MLB|BNDL|BOX|PRF|DRL|LSN)-\d{3}", entry.id)
    assert entry.title
    assert entry.cause
    for words in (entry.title, entry.cause, entry.fix):
        assert words == words.strip().rstrip(".")
    assert len(entry.fix) > len("run: x")
    assert entry.exit_code.value not in (0, 2, 3)


@pytest.mark.parametrize("layer", ["HOST", "CONF", "PROV", "MACH", "CLUS", "MLB", "BNDL", "BOX", "PRF", "DRL", "LSN"])
def test_a_layer_has_one_exit_code(layer: str) -> None:
    codes = {entry.exit_code for entry in ENTRIES if entry.id.startswith(f"LAB-{layer}-")}
    # A failed check is a result, not a fault of the host.
    assert len(codes - {ExitCode.CHECK_FAILED}) == 1


@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_an_entry_has_a_chapter_in_the_guide(entry: Entry) -> None:
    assert "**You see**" in CHAPTERS[entry.id]
    assert "**Do**" in CHAPTERS[entry.id]


def plain(text: str) -> str:
    """Return text as its words alone: how lines are broken and what is set as code does not matter."""
    return " ".join(text.replace("`", "").split()).lower()


@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_the_guide_s_why_begins_with_the_entry_s_cause(entry: Entry) -> None:
    found = re.search(r"^\*\*Why\*\* (.*?)^\*\*Do\*\* \S", CHAPTERS[entry.id], re.MULTILINE | re.DOTALL)
    assert found is not None
    assert plain(found[1]).startswith(f"{plain(entry.cause)}.")


def test_the_guide_s_table_has_every_exit_code_with_its_layer() -> None:
    table = re.findall(r"^\| (\d+) \| [^|]*\| (.*) \|$", GUIDE, re.MULTILINE)
    assert [int(code) for code, _ in table] == [code.value for code in ExitCode]
    when = {int(code): words for code, words in table}
    for entry in ENTRIES:
        if entry.exit_code is not ExitCode.CHECK_FAILED:
            assert f"`{entry.id.rpartition('-')[0]}-…`" in when[entry.exit_code]


def test_the_guide_has_no_chapter_for_an_error_there_is_not() -> None:
    assert set(CHAPTERS) == {entry.id for entry in ENTRIES}


def test_every_entry_is_raised_somewhere_and_none_is_invented() -> None:
    used = used_names()
    constants = {name for name in used if name.isupper()}
    assert constants == set(NAMES)


@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_the_next_step_names_commands_there_are(entry: Entry) -> None:
    tasks = (paths.repo_root() / "metallab" / "tasks").glob("*.py")
    inner = {"snapshot": "lab.snapshot"}
    defined = {
        name
        if file.stem in ("setup", "verify", "quality", "demo", "doctor", "kubectl", "explain", "completion", "collect")
        else f"{inner.get(file.stem, file.stem)}.{name}"
        for file in tasks
        for name in re.findall(r"^def (\w+)\(\s*_?session", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    for command in re.findall(r"\./inv ([a-z0-9]+(?:\.[a-z]+)*)", entry.fix):
        assert command in defined


def asserted_words() -> str:
    """Return the source of everything the tests assert or expect to be raised, the tables among the data included."""
    here = Path(__file__)
    found = [file.read_text(encoding="utf-8") for file in (here.parent.parent / "data").rglob("*.yaml")]
    for file in here.parent.parent.rglob("test_*.py"):
        # What is said about the catalogue as a whole, or about how any error is drawn, provokes none of them.
        if file.name in (here.name, "test_guide.py", "test_console.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            raises = isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.raises"
            table = isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.parametrize"
            if isinstance(node, ast.Assert) or raises or table:
                found.append(ast.unparse(node))
    return "\n".join(found)


@pytest.fixture(scope="module")
def asserted() -> str:
    return asserted_words()


@pytest.mark.parametrize("name", NAMES)
def test_a_test_provokes_every_entry(name: str, asserted: str) -> None:
    assert re.search(rf"\b{name}\b|\b{NAMES[name].id}\b", asserted), f"no test sees {NAMES[name].id} raised"


def test_an_error_carries_what_where_and_the_catalogue_s_next_step() -> None:
    error = LabError(errors.CONFIG_INVALID, "2 problems", where="lab.yaml", detail="a\nb")
    assert str(error) == "LAB-CONF-002: 2 problems"
    assert (error.where, error.detail, error.fix) == ("lab.yaml", "a\nb", errors.CONFIG_INVALID.fix)


def test_the_raiser_may_know_a_better_next_step() -> None:
    assert LabError(errors.CONFIG_INVALID, "x", fix="do this").fix == "do this"
    assert LabError(errors.CONFIG_INVALID, "x", fix="").fix == ""
