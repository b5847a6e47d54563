"""``inv config.…`` as a user types it: a process with streams and an exit code, for a handful of files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metallab import config, paths
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Events
from metallab.tasks._task import Session
from metallab.tasks.config import listed, schema_beside

ROOT = paths.repo_root()
pytestmark = pytest.mark.timeout(300)  # a host that does much else takes long to start a process


def inv(*words: str, lab_file: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run what ``./inv`` becomes when its venv is ready."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", "--search-root", ROOT, *words],
        env={**os.environ, "LAB_FILE": str(lab_file), "NO_COLOR": "1", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lab.yaml"


# -- config.validate -------------------------------------------------------------------------------------------


def test_several_problems_end_as_one_error_on_stderr(file: Path) -> None:
    file.write_text("netwrok: 10.0.0.0/24\nsharedAddress: 010\npool: 9-10\n")
    done = inv("config.validate", lab_file=file)
    assert done.returncode == 11
    assert done.stdout == ""
    assert done.stderr.startswith("✗ LAB-CONF-002  the lab file has values the lab cannot use\n  3 problems\n")
    assert f"\n  where: {file}\n" in done.stderr
    assert [line.removeprefix("    | ") for line in done.stderr.splitlines() if line.startswith("    | ")] == [
        f"{file}:1:1: netwrok: there is no such key; did you mean network? [LAB-CONF-004]",
        (
            f"{file}:2:16: sharedAddress: YAML reads 010 as 8, since a leading zero makes it octal; "
            "write 10, or 8 if that is meant [LAB-CONF-006]"
        ),
        f"{file}:3:7: pool: 9-10 covers 192.168.96.10 (control-plane); write pool: 8-9 [LAB-CONF-011]",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"name: \xff\n", "1:7: the byte ff is not UTF-8"),
        (b'name: "\\e[31m"\n', r"name: '\x1b[31m' could not be a host name"),
    ],
    ids=["no text", "an escape sequence"],
)
def test_a_bad_file_never_ends_in_a_traceback(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    done = inv("config.validate", lab_file=file)
    assert (done.returncode, done.stdout) == (11, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr


def test_a_good_file_with_variables_is_good_and_what_looks_wrong_is_told(file: Path) -> None:
    file.write_text(
        "machines:\n"
        "  - {name: cp, role: control-plane, host: 10, memory: 512}\n"
        "  - {name: me, role: client, host: 200}\n"
    )
    done = inv("config.validate", lab_file=file, LAB_NETWORK="10.9.0.0/24", LAB_NETWROK="10.8.0.0/24")
    assert done.returncode == 0
    assert done.stdout == f"{file}: good (lab metallab, network 10.9.0.0/24, 2 machines)\n"
    assert "the variable LAB_NETWROK means nothing to the lab; did you mean LAB_NETWORK?" in done.stderr
    assert "cp has 512 MiB of memory, a control-plane needs 1536 as a virtual machine" in done.stderr


@pytest.mark.parametrize("name", ["lab.yaml", "x" * 5000], ids=["a file that is not there", "no file name at all"])
def test_a_lab_file_that_is_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("LAB_FILE", str(tmp_path / name))
    with pytest.raises(LabError, match="LAB_FILE names a file that is not there") as caught:
        _ = Session(Events(lambda _event: None)).lab
    assert caught.value.entry.id == "LAB-CONF-001"
    assert "./inv config.init" in caught.value.fix


# -- config.show -----------------------------------------------------------------------------------------------


def test_origins_are_told_for_people_and_for_programs(file: Path) -> None:
    file.write_text("pool: 64-95\n")
    done = inv("config.show", "--origin", "-o", "json", lab_file=file, LAB_NAME="seen")
    told = {line["key"]: (line["value"], line["origin"]) for line in json.loads(done.stdout)}
    assert told["name"] == ("seen", "LAB_NAME")
    assert told["pool"] == ("64-95", f"{file}:1:7")
    assert told["pods"] == ("10.244.0.0/16", "default")
    lines = listed(config.origins(file)).splitlines()
    assert f'pool: "64-95"                      # {file}:1:7' in lines
    assert 'pods: "10.244.0.0/16"              # default' in lines


# -- config.init -----------------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_overwritten_only_by_force(file: Path) -> None:
    file.write_text("name: mine\n")
    done = inv("config.init", lab_file=file)
    assert (done.returncode, done.stdout) == (11, "")
    assert "LAB-CONF-013" in done.stderr
    assert file.read_text() == "name: mine\n"
    done = inv("config.init", "--force", lab_file=file)
    assert (done.returncode, done.stdout) == (0, f"{file}: written; ./inv config.validate checks it\n")
    assert file.read_text() == config.template(f"{ROOT}/docs/lab.schema.json")


def test_a_new_file_is_the_usual_lab_and_tells_editors_its_schema() -> None:
    text = config.template("https://example.org/lab.json")
    assert text.startswith("# yaml-language-server: $schema=https://example.org/lab.json\n")
    assert config.parse(text) == Lab()


def test_the_template_has_every_key() -> None:
    text = config.template("x")
    assert all(f"\n{key}:" in text or f"\n# {key}:" in text for key in config.json_schema()["properties"])


def test_the_commented_examples_of_the_template_are_right() -> None:
    lines = [line.removeprefix("# ") for line in config.template("x").splitlines()]
    examples = [line for line in lines if line.startswith(("versions: {", "box: {"))]
    lab = config.parse("\n".join(examples))
    assert (len(examples), lab.versions.kubernetes is None, lab.box is None) == (2, False, False)


def test_the_checkout_s_own_file_tells_editors_its_schema() -> None:
    assert schema_beside(ROOT / "lab.yaml") == "docs/lab.schema.json"
    first = (ROOT / "lab.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/lab.schema.json"
