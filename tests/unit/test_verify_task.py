"""``inv verify``: its words on the command line, and where its reports go."""

from __future__ import annotations

from pathlib import Path

import pytest

from metallab import paths
from metallab.errors import ExitCode, LabError
from metallab.proof import report
from metallab.tasks import verify
from tests.unit.report_samples import passing


@pytest.mark.parametrize(
    ("words", "ids"),
    [("", ()), ("tcp", ("tcp",)), ("tcp,udp", ("tcp", "udp")), (" tcp, as-found ", ("tcp", "as-found"))],
)
def test_ids_stand_with_commas_between(words: str, ids: tuple[str, ...]) -> None:
    assert verify._ids("only", words) == ids


def test_an_unknown_id_is_refused_with_the_way_to_the_known_ones() -> None:
    with pytest.raises(LabError, match="LAB-HOST-010: --require: there is no check tpc, nowhere") as caught:
        verify._ids("require", "tcp,tpc,nowhere")
    assert "./inv verify --list" in caught.value.fix


def test_a_run_that_would_send_for_ever_is_refused() -> None:
    with pytest.raises(LabError, match="LAB-HOST-010"):
        verify.require_seconds(0)


def test_of_several_proofs_the_worst_decides() -> None:
    assert set(verify.WORST_FIRST) == {code for code in ExitCode if code <= ExitCode.WARNINGS}
    assert verify.WORST_FIRST[0] is ExitCode.CHECK_FAILED
    assert verify.WORST_FIRST[-1] is ExitCode.OK


def test_reports_outlive_the_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert paths.state_dir() not in paths.reports_dir().parents
    assert paths.reports_dir() == tmp_path / "metallab-reports"


def test_the_oldest_reports_go_and_nothing_else(tmp_path: Path) -> None:
    for name in ("20260101T000000Z", "20260102T000000Z", "20260103T000000Z"):
        report.write(passing(), tmp_path / name)
    (tmp_path / "20250101T000000Z").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    report.prune(tmp_path, 2)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["20250101T000000Z", "20260102T000000Z", "20260103T000000Z", "notes.txt"]
