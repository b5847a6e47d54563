from __future__ import annotations

import fcntl
import io
import json
import os
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from metallab import console, errors
from metallab.errors import LabError
from metallab.events import Event, Events, Kind


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("terminal", "environ", "kind"),
    [
        (True, {"TERM": "xterm-256color"}, "live"),
        (True, {"TERM": "dumb"}, "plain"),
        (True, {}, "plain"),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, "plain"),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, "live"),
        (False, {"TERM": "xterm"}, "plain"),
        (False, {"METALLAB_PROGRESS": "json"}, "json"),
        (True, {"TERM": "xterm", "METALLAB_PROGRESS": "plain"}, "plain"),
        (True, {"TERM": "xterm", "METALLAB_PROGRESS": "nonsense"}, "live"),
    ],
)
def test_the_sink_fits_where_stderr_goes(terminal: bool, environ: dict[str, str], kind: str) -> None:  # noqa: FBT001
    assert console.choose(Terminal() if terminal else io.StringIO(), environ) == kind


def test_a_terminal_without_such_characters_gets_lines() -> None:
    class Latin(Terminal):
        encoding = "iso-8859-15"

    assert console.choose(Latin(), {"TERM": "xterm"}) == "plain"


def test_plain_lines() -> None:
    stream = io.StringIO()
    with console.open_sink(stream, {}) as sink:
        sink(Event(Kind.STARTED, "machines"))
        sink(Event(Kind.PROGRESS, "machines", "client", 1.0, 1, 4))
        sink(Event(Kind.STARTED, "bundle"))
        sink(Event(Kind.SKIPPED, "bundle", "already built", 0.04))
        sink(Event(Kind.DONE, "machines", "4 up", 11.6))
        sink(Event(Kind.NOTE, "", "a note"))
        sink(Event(Kind.WARNING, "", "a warning"))
        sink(Event(Kind.STARTED, "proof"))
        sink(Event(Kind.FAILED, "proof", "NotProven", 125.0))
    assert stream.getvalue().splitlines() == [
        " 1 … machines",
        " 2 … bundle",
        " 2 ✓ bundle  0.0 s  already built",
        " 1 ✓ machines  11.6 s  4 up",
        " · a note",
        " ! a warning",
        " 3 … proof",
        " 3 ✗ proof  2 min 05 s  NotProven",
    ]


def test_a_silent_step_gets_a_heartbeat_with_what_it_waits_for() -> None:
    stream, clock = io.StringIO(), Clock()
    sink = console.PlainSink(stream, clock)
    sink(Event(Kind.STARTED, "control plane"))
    clock.now += 9.9
    sink.beat()
    assert stream.getvalue() == " 1 … control plane\n"
    sink(Event(Kind.PROGRESS, "control plane", "kubeadm init", 9.9))
    clock.now += 0.1
    sink.beat()
    clock.now += 9
    sink.beat()
    clock.now += 1
    sink(Event(Kind.PROGRESS, "control plane", "pods", 20.0, 3, 7))
    sink.beat()
    sink(Event(Kind.DONE, "control plane", "", 20.0))
    clock.now += 60
    sink.beat()
    assert stream.getvalue().splitlines()[1:] == [
        " 1 … control plane  10.0 s  kubeadm init",
        " 1 … control plane  20.0 s  3/7 pods",
        " 1 ✓ control plane  20.0 s",
    ]


def test_the_heart_beats_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "HEARTBEAT_SECONDS", 0.0)
    beaten = threading.Event()

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            if "waiting" in text:
                beaten.set()
            return super().write(text)

    with console.open_sink(Stream(), {}) as sink, Events(sink).step("box") as step:
        step.progress("waiting")
        assert beaten.wait(10)


def test_json_lines() -> None:
    stream = io.StringIO()
    with console.open_sink(stream, {"METALLAB_PROGRESS": "json"}) as sink:
        sink(Event(Kind.STARTED, "machines"))
        sink(Event(Kind.PROGRESS, "machines", "client", 1.23456, 0, 4))
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"kind": "started", "number": 1, "step": "machines", "seconds": 0.0},
        {
            "kind": "progress",
            "number": 1,
            "step": "machines",
            "text": "client",
            "seconds": 1.235,
            "done": 0,
            "total": 4,
        },
    ]


def test_events_have_a_heartbeat_too() -> None:
    stream, clock = io.StringIO(), Clock()
    sink = console.JsonSink(stream, clock)
    sink(Event(Kind.STARTED, "control plane"))
    sink(Event(Kind.PROGRESS, "control plane", "pods", 0.0, 3, 7))
    clock.now += 9
    sink(Event(Kind.PROGRESS, "control plane", "pods", 9.0, 4, 7))
    clock.now += 9
    sink.beat()
    clock.now += 1
    sink.beat()
    sink.beat()
    last = json.loads(stream.getvalue().splitlines()[-1])
    assert len(stream.getvalue().splitlines()) == 4
    assert last["seconds"] == 19.0
    assert (last["kind"], last["text"], last["done"], last["total"]) == ("progress", "pods", 4, 7)


def test_a_narrow_terminal_gets_every_word_of_a_table() -> None:
    columns, row = ("step", "lab.up would", "because"), ("machine", "make", "q " * 40)
    text = console.table_text("a title", columns, [row], width=40)
    assert all(len(line) <= 40 for line in text.splitlines())
    assert text.count("q") == 40


def test_a_table_is_as_wide_as_a_dumb_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = os.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        with os.fdopen(theirs, "w", encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            console.table("", ("a", "b"), [("x", "y " * 60)])
        shown = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert max(len(line) for line in plain.splitlines()) <= 40
    assert plain.count("y") == 60


def test_many_threads_lose_no_line() -> None:
    stream = io.StringIO()
    with console.open_sink(stream, {}) as sink:
        events = Events(sink)

        def work(number: int) -> None:
            for turn in range(20):
                with events.step(f"step {number}.{turn}") as step:
                    step.progress("at it", turn, 20)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 8 * 20 * 2
    numbers = {int(line[:4].split()[0]) for line in lines if "…" in line}
    assert numbers == set(range(1, 161))


def test_the_live_sink_leaves_only_ended_steps() -> None:
    stream = Terminal()
    with console.open_sink(stream, {"TERM": "xterm"}) as sink:
        with Events(sink).step("machines") as step:
            step.progress("client", 1, 4)
            step.result("4 up")
        sink(Event(Kind.NOTE, "", "quiet now"))
    shown = stream.getvalue()
    assert "✓" in shown
    assert "4 up" in shown
    assert shown.rstrip().endswith("quiet now")
    # Hidden while it moves, shown again at the end: else a user's prompt has no cursor.
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1


def test_the_live_sink_gives_the_terminal_back_after_an_error() -> None:
    stream = Terminal()
    with (
        pytest.raises(KeyboardInterrupt),
        console.open_sink(stream, {"TERM": "xterm"}) as sink,
        Events(sink).step("machines"),
    ):
        raise KeyboardInterrupt
    assert "✗" in stream.getvalue()
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h")
    assert console._on_screen is None


def test_data_goes_to_stdout_while_steps_move_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Terminal()
    with console.open_sink(stream, {"TERM": "xterm"}) as sink, Events(sink).step("iperf3"):
        console.line("[  5]   0.00-1.00   sec")
        console.table("title", ("a", "b"), [("1", "2")])
    out = capsys.readouterr().out
    assert out.splitlines() == ["[  5]   0.00-1.00   sec", "title", "a   b", "─────", "1   2"]
    assert "0.00-1.00" not in stream.getvalue()


def test_markup_and_long_words_are_shown_as_they_are() -> None:
    text = console.table_text("", ("what",), [("[bold]x[/bold] :smile: " + "y" * 60,)], width=40)
    assert "[bold]x[/bold] :smile:" in text
    assert text.count("y") == 60


def test_a_stream_without_such_characters_gets_plain_ones() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with console.open_sink(stream, {}) as sink:
        sink(Event(Kind.STARTED, "machines"))
        sink(Event(Kind.DONE, "machines", "Größe", 1.0))
    assert raw.getvalue().decode().splitlines() == [" 1 . machines", " 1 + machines  1.0 s  Gr??e"]


def test_an_error_says_what_where_why_and_what_next() -> None:
    error = LabError(errors.MACHINE_UNREACHABLE, "no SSH to worker-1: timed out", where="worker-1", detail="a\nb\n")
    assert console.error_text(error).splitlines() == [
        "✗ LAB-MACH-002  a machine cannot be reached over SSH",
        "  no SSH to worker-1: timed out",
        "  where: worker-1",
        "    | a",
        "    | b",
        "  why: it is off, still booting, or its address in the lab network is gone",
        "  what to do: run: ./inv lab.status, then ./inv lab.up to heal it",
        "  more: docs/troubleshooting.md#lab-mach-002",
    ]


def test_an_error_without_evidence_is_short() -> None:
    error = LabError(errors.MACHINE_NOT_UP, "it is not up", fix="turn it on")
    assert console.error_text(error).splitlines()[1:4] == [
        "  it is not up",
        f"  why: {errors.MACHINE_NOT_UP.cause}",
        "  what to do: turn it on",
    ]


def test_errors_go_to_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_error(LabError(errors.MACHINE_NOT_UP, "it is not up"))
    console.show_interrupted()
    console.show_bug("Traceback …\n✗ this is a mistake in metallab itself (ValueError: odd)")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "LAB-MACH-007" in captured.err
    assert "goes on where it was" in captured.err
    assert "a mistake in metallab itself (ValueError: odd)" in captured.err


def test_an_error_on_a_terminal_has_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("METALLAB_PROGRESS", raising=False)
    console.show_error(LabError(errors.MACHINE_NOT_UP, "word " * 60))
    assert "\x1b[" in stream.getvalue()
    assert "word " * 60 in stream.getvalue()


def test_no_terminal_no_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(LabError, match=r"LAB-HOST-008: nobody to ask: Sure\?") as caught:
        console.confirm("Sure?")
    assert caught.value.fix == "run it again with --yes"


@pytest.mark.parametrize("answer", ["y\n", "Y\n", "yes\n", " yes \n"])
def test_yes_is_yes(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    stderr = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", stderr)
    assert console.confirm("Destroy it?")
    assert stderr.getvalue() == "Destroy it? [y/N] "


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "nay, not yes\n"])
def test_anything_else_stops_the_command(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(LabError, match="LAB-HOST-008"):
        console.confirm("Destroy it?")


def test_rich_is_not_imported_before_something_is_drawn() -> None:
    code = "import sys, metallab.console, metallab.proof.table; print('rich' in sys.modules)"
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"


def test_markdown_is_drawn_on_a_terminal_and_left_as_it_is_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "# Title\n\nSome **words**, a [link](https://example.org/).\n"
    monkeypatch.setenv("METALLAB_PROGRESS", "plain")
    console.markdown(text)
    assert capsys.readouterr().out == text
    monkeypatch.setenv("METALLAB_PROGRESS", "live")
    console.markdown(text)
    drawn = capsys.readouterr().out
    assert "Some words, a link (https://example.org/)." in drawn
    assert "**" not in drawn
    assert "#" not in drawn
