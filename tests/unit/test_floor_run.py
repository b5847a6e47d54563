"""The one way to run a command, with real commands."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metallab.run import cancel
from metallab.run.cancel import Cancelled
from metallab.run.local import replace, run, spawn
from metallab.run.result import HERE, TAIL_LINES, CommandFailed, CommandTimedOut, Result, ToolMissing
from metallab.run.wait import NotYet, until

# Starts a child of its own, writes both process ids, and waits much longer than any test.
FAMILY = """
import os, signal, subprocess, sys
child = subprocess.Popen(["sh", "-c", sys.argv[2] + "sleep 300 & wait; sleep 300"])
draft = sys.argv[1] + ".new"
open(draft, "w").write(f"{os.getpid()} {child.pid}")
os.rename(draft, sys.argv[1])
child.wait()
"""


def alive(pid: int) -> bool:
    """Tell whether a process runs (one that only waits to be buried does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def family(folder: Path, trap: str = "") -> tuple[list[str], Callable[[], list[int]]]:
    """Return a command with a grandchild, and a way to learn its process ids once it runs."""
    file = folder / "pids"

    def pids() -> list[int]:
        def written() -> list[int]:
            if not file.exists():
                raise NotYet("no process ids")
            return [int(word) for word in file.read_text(encoding="utf-8").split()]

        return until(written, timeout=10, what="the family")

    return [sys.executable, "-c", FAMILY, str(file), trap], pids


def gone(pids: list[int]) -> None:
    def all_gone() -> None:
        left = [pid for pid in pids if alive(pid)]
        if left:
            raise NotYet(f"still there: {left}")

    until(all_gone, timeout=5, what="the processes to end")


def test_both_streams_the_status_and_the_time_come_back() -> None:
    result = run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=10, check=False)
    assert (result.stdout, result.stderr, result.rc, result.ok) == ("out\n", "err\n", 3, False)
    assert result.where == HERE
    assert 0 < result.seconds < 10


def test_a_command_that_says_no_raises_with_a_line_to_paste_and_the_end_of_its_words() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", "seq 100 >&2; exit 7"], timeout=10)
    assert caught.value.entry.id == "LAB-HOST-004"
    assert caught.value.what == "exit status 7 from: sh -c 'seq 100 >&2; exit 7'"
    assert caught.value.detail.splitlines() == [str(number) for number in range(101 - TAIL_LINES, 101)]


def test_words_reach_the_command_as_they_are() -> None:
    words = ["$(id)", "a b", "'", "*", "\n", "ä", ""]
    result = run([sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *words], timeout=10)
    assert result.stdout == ascii(words) + "\n"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ToolMissing) as caught:
        run(["no-such-program-here", "--version"], timeout=10)
    assert (caught.value.entry.id, caught.value.program) == ("LAB-HOST-002", "no-such-program-here")


def test_a_missing_folder_is_not_mistaken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run(["true"], timeout=10, cwd=tmp_path / "nowhere")


@pytest.mark.parametrize("given", ["text ä\n", b"bytes \xff\n"], ids=["text", "bytes"])
def test_stdin_is_given_whole(given: str | bytes) -> None:
    raw = given.encode() if isinstance(given, str) else given
    assert run(["wc", "-c"], timeout=10, input=given).stdout.strip() == str(len(raw))


def test_much_input_and_much_output_do_not_block_each_other() -> None:
    text = "0123456789abcde\n" * 65536
    assert run(["cat"], timeout=30, input=text).stdout == text


def test_without_input_stdin_is_empty_and_not_the_terminal() -> None:
    assert run(["cat"], timeout=10).stdout == ""


def test_a_command_that_does_not_read_its_input_is_no_error() -> None:
    assert run(["true"], timeout=10, input="x" * 1_000_000).ok


def test_lines_of_both_streams_come_while_the_command_runs() -> None:
    seen: list[tuple[str, float]] = []
    began = time.monotonic()
    run(
        ["sh", "-c", "echo one; echo two >&2; sleep 1; printf three"],
        timeout=10,
        on_line=lambda line: seen.append((line, time.monotonic() - began)),
    )
    assert sorted(line for line, _ in seen) == ["one", "three", "two"]
    assert all(when < 0.9 for line, when in seen if line in ("one", "two"))


def test_output_that_is_no_text_is_not_an_error() -> None:
    assert run(["printf", r"\377ok"], timeout=10).stdout == "\ufffdok"


def test_variables_are_added_to_the_environment_and_the_folder_is_changed(tmp_path: Path) -> None:
    result = run(["sh", "-c", 'echo "$LAB_TEST $HOME"; pwd'], timeout=10, env={"LAB_TEST": "yes"}, cwd=tmp_path)
    assert result.stdout == f"yes {os.environ['HOME']}\n{tmp_path}\n"


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["obedient", "deaf to SIGTERM"])
def test_time_up_ends_the_whole_family(tmp_path: Path, trap: str) -> None:
    argv, pids = family(tmp_path, trap)
    with pytest.raises(CommandTimedOut) as caught:
        run(argv, timeout=1.5)
    assert caught.value.entry.id == "LAB-HOST-005"
    gone(pids())


def test_time_up_keeps_what_was_said_until_then() -> None:
    with pytest.raises(CommandTimedOut) as caught:
        run(["sh", "-c", "echo so far; sleep 60"], timeout=1)
    assert "so far" in caught.value.detail
    assert caught.value.what.startswith("no end after 1 s: sh -c")


def test_ctrl_c_ends_the_whole_family(tmp_path: Path) -> None:
    argv, pids = family(tmp_path)

    def press() -> None:
        pids()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(argv, timeout=30)
    thread.join()
    gone(pids())


def test_a_command_in_a_thread_ends_when_the_main_thread_asks(tmp_path: Path) -> None:
    argv, pids = family(tmp_path)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            run(argv, timeout=30)
        except Cancelled as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    found = pids()
    cancel.request()
    thread.join(timeout=10)
    cancel.reset()
    assert len(raised) == 1
    gone(found)


def test_a_daemon_left_behind_does_not_hold_the_command_up() -> None:
    began = time.monotonic()
    result = run(["sh", "-c", "echo done; sleep 30 & echo $!"], timeout=20)
    word, pid = result.stdout.split()
    os.kill(int(pid), signal.SIGKILL)
    assert word == "done"
    assert time.monotonic() - began < 10


def test_a_spawned_daemon_outlives_the_call_and_logs_to_its_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = spawn(["sh", "-c", "echo $LAB_TEST; exec sleep 300"], log=log, env={"LAB_TEST": "hello"})

    def logged() -> None:
        if log.read_text(encoding="utf-8") != "hello\n":
            raise NotYet("nothing logged")

    try:
        until(logged, timeout=10, what="the log")
        assert alive(pid)
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_spawn_and_replace_name_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing):
        spawn(["no-such-program-here"], log=tmp_path / "log")
    with pytest.raises(ToolMissing):
        replace(["no-such-program-here"])


def test_the_end_of_what_was_said_prefers_errors() -> None:
    assert Result(("x",), 1, "out\n", "err\n", 0.1).tail == "err"
    assert Result(("x",), 1, "out\n", " \n", 0.1).tail == "out"
