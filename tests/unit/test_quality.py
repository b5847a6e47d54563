"""The house rules hold together: the linters, the hooks, the completion scripts, the locked requirements."""

from __future__ import annotations

import re

import pytest
import yaml

from metallab import errors, paths
from metallab.errors import LabError
from metallab.events import silent
from metallab.tasks import quality
from metallab.tasks._task import Session
from metallab.tasks.quality import Linter, linters, shell_scripts

ROOT = paths.repo_root()


def test_the_hooks_are_the_linters() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    entries = {hook["name"]: hook["entry"].removeprefix(".venv/bin/").split() for hook in hooks}
    assert list(entries) == [linter.title for linter in linters(ROOT)]
    for linter in linters(ROOT):
        words = linter.argv[:1] if linter.title == "shellcheck" else linter.argv
        assert entries[linter.title] == list(words)


def test_shell_scripts_are_known_by_their_first_line() -> None:
    scripts = shell_scripts(ROOT)
    assert {"inv", ".ci/run", "provision/run"} <= set(scripts)
    assert all((ROOT / script).read_bytes().startswith(b"#!") for script in scripts)


def test_a_linter_that_complains_is_named_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = Linter("content", ("python", "-c", "print('never shown')"))
    cross = Linter("cross", ("python", "-c", "import sys; print('line 1'); sys.exit('line 2')"))
    monkeypatch.setattr(quality, "linters", lambda _root: (cross, content))
    monkeypatch.setattr(quality, "install_tools", lambda _events: None)
    with pytest.raises(LabError) as caught:
        quality.lint.body.__wrapped__(Session(silent()))  # type: ignore[attr-defined]
    assert caught.value.entry is errors.HOST_TESTS_FAILED
    assert caught.value.what == "not content: cross"
    assert capsys.readouterr().out == "line 1\nline 2\n"


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_every_requirement_is_locked_by_hash_and_no_index_is_named(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[a-z0-9._-]+==\S+", block) and "--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    assert "--index" not in text
    wanted = (ROOT / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines()
    direct = {line for line in wanted if line and not line.startswith(("#", "-"))}
    assert direct <= {block.partition("==")[0] for block in blocks}


def test_both_locks_agree() -> None:
    def pins(name: str) -> dict[str, set[str]]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        found: dict[str, set[str]] = {}
        for package, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE):
            found.setdefault(package, set()).add(version)
        return found

    runtime, dev = pins("runtime"), pins("dev")
    assert {name: runtime[name] for name in runtime.keys() & dev.keys()} == {
        name: dev[name] for name in runtime.keys() & dev.keys()
    }
