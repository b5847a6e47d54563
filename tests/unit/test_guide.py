"""``inv explain``: an error's id in, its chapter out."""

from __future__ import annotations

import pytest

from metallab import errors, guide
from metallab.errors import Entry, LabError


@pytest.mark.parametrize("word", ["LAB-HOST-001", "lab-host-001", "HOST-1", "lab-host001", " host-001 "])
def test_an_id_is_known_however_it_is_written(word: str) -> None:
    assert guide.find(word) is errors.HOST_PACKAGES_MISSING


@pytest.mark.parametrize(
    ("word", "fix"),
    [
        ("LAB-HOTS-001", "did you mean LAB-HOST-001"),
        ("LAB-BOX-099", "did you mean LAB-BOX-00"),
        ("kubeadm", "an id looks like LAB-HOST-001; ./inv explain all lists them"),
    ],
)
def test_an_unknown_id_names_the_nearest_ones(word: str, fix: str) -> None:
    with pytest.raises(LabError, match="LAB-HOST-010") as caught:
        guide.find(word)
    assert caught.value.what == f"no error has the id {word!r}"
    assert caught.value.fix.startswith(fix)


@pytest.mark.parametrize("entry", errors.catalogue(), ids=lambda entry: str(entry.id))
def test_every_error_can_be_explained(entry: Entry) -> None:
    text = guide.explanation(entry)
    assert text.startswith(f"{entry.id}  {entry.title} (exit code {int(entry.exit_code)})\n  why: {entry.cause}\n")
    assert f"\n  what to do: {entry.fix}\n" in text
    assert "\nYou see " in text
    assert "\nDo " in text


def test_the_list_has_every_error() -> None:
    assert [row[0] for row in guide.contents()] == [entry.id for entry in errors.catalogue()]
