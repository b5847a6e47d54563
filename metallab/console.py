"""What a person sees: progress on stderr, data on stdout. The only home of rich.

rich is imported when something is really drawn, because half of all commands (``inv --list``, completion, ``-o json``)
draw nothing and should not pay for it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from metallab import errors
from metallab.errors import LabError
from metallab.events import Event, Kind, Sink

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

PROGRESS = "METALLAB_PROGRESS"
"""Environment variable that chooses how progress is shown: ``live``, ``plain`` or ``json``; otherwise it is guessed."""
HEARTBEAT_SECONDS = 10.0
"""A step that says nothing for so long gets a line, so that a log never looks hung."""
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAMES_PER_SECOND = 8
PLAIN_WIDTH = 100
"""Width of tables where no terminal tells one."""
HEIGHT = 25
"""A height nothing depends on."""
ANCHORS = "docs/troubleshooting.md"

_MARKS = {
    Kind.STARTED: "…",
    Kind.DONE: "✓",
    Kind.SKIPPED: "✓",
    Kind.FAILED: "✗",
    Kind.WARNING: "!",
    Kind.NOTE: "·",
}
_STYLES = {Kind.DONE: "green", Kind.SKIPPED: "dim", Kind.FAILED: "bold red", Kind.WARNING: "yellow", Kind.NOTE: "dim"}
_ASCII = str.maketrans({"─": "-", "✓": "+", "✗": "x", "–": "-", "…": ".", "·": "*", "—": "-", "µ": "u"})  # noqa: RUF001


# -- sinks for progress ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_sink(
    stream: TextIO | None = None, environ: Mapping[str, str] | None = None, *, plain: bool = False
) -> Iterator[Sink]:
    """Give a sink for progress events that fits where stderr goes, for the length of one command.

    Where events go to stdout (:func:`events_on_stdout`), that is the sink. ``plain`` wants lines, not a moving part.
    """
    stream = sys.stderr if stream is None else stream
    kind = choose(stream, os.environ if environ is None else environ)
    if _on_stdout is not None:
        with _on_stdout.beating():
            yield _on_stdout
    elif kind == "json":
        events = JsonSink(stream)
        with events.beating():
            yield events
    elif kind == "live" and not plain:
        with LiveSink(stream) as live:
            yield live
    else:
        lines = PlainSink(stream)
        with lines.beating():
            yield lines


@contextlib.contextmanager
def events_on_stdout(*, wanted: bool) -> Iterator[None]:
    """Have everything a command says on stdout as one JSON object a line, for the block: events, data, and the end."""
    global _on_stdout  # noqa: PLW0603 - there is one stdout
    _on_stdout = JsonSink(sys.stdout) if wanted else None
    try:
        yield
    finally:
        _on_stdout = None


def choose(stream: TextIO, environ: Mapping[str, str]) -> str:
    """Tell which sink fits: ``live`` on a terminal that can move its cursor and may use colour, else ``plain``."""
    asked = environ.get(PROGRESS, "")
    if asked in ("json", "plain", "live"):
        return asked
    dull = environ.get("NO_COLOR", "") != "" or environ.get("TERM", "") in ("", "dumb")
    return "live" if stream.isatty() and not dull and _can_show(stream, SPINNER) else "plain"


@dataclass
class _Running:
    """A step that has not ended: its number on the screen, when it began and spoke last, and its newest words."""

    number: int
    began: float
    spoke: float
    text: str = ""
    done: int | None = None
    total: int | None = None

    @property
    def words(self) -> str:
        """Return what it is doing, with its count when it has one."""
        if self.done is None:
            return self.text
        count = f"{self.done}" if self.total is None else f"{self.done}/{self.total}"
        return f"{count} {self.text}".rstrip()


class _Steps:
    """Which steps run now, and their numbers in the order they began. Used by both renderers, under their lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.running: dict[str, _Running] = {}
        self._clock = clock
        self._count = 0

    def see(self, event: Event) -> int:
        """Keep the books for an event and return its step's number (0 when it belongs to none)."""
        now = self._clock()
        if event.kind is Kind.STARTED:
            self._count += 1
            self.running[event.step] = _Running(self._count, now, now)
            return self._count
        step = self.running.get(event.step)
        if step is None:
            return 0
        if event.kind is Kind.PROGRESS:
            step.text, step.done, step.total = event.text, event.done, event.total
        elif event.kind in (Kind.DONE, Kind.SKIPPED, Kind.FAILED):
            del self.running[event.step]
        return step.number


def line_of(event: Event, number: int) -> str:
    """Return the line an event leaves behind for good; progress leaves none (empty text)."""
    if event.kind is Kind.PROGRESS:
        return ""
    mark = _MARKS[event.kind]
    if event.kind in (Kind.NOTE, Kind.WARNING):
        return f" {mark} {event.text}"
    label = f"{number:>2} {mark} {event.step}"
    if event.kind is Kind.STARTED:
        return label
    told = f"  {event.text}" if event.text else ""
    return f"{label}  {duration(event.seconds)}{told}"


def duration(seconds: float) -> str:
    """Return seconds the way people say them: ``3.2 s``, ``2 min 05 s``."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


class _LineSink:
    """A sink of lines with a heart: a step that was silent too long is told again, with what it waits for."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._steps = _Steps(clock)
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Let the heart beat for the block."""
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join(timeout=1)

    def __call__(self, event: Event) -> None:
        """Show an event; may be called from any thread."""
        with self._lock:
            self._tell(event, self._steps.see(event))

    def beat(self) -> None:
        """Tell every step again that has been silent too long."""
        now = self._clock()
        with self._lock:
            for title, step in self._steps.running.items():
                if now - step.spoke >= HEARTBEAT_SECONDS:
                    step.spoke = now
                    self._tell_again(title, step, now - step.began)

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self.beat()

    def _tell(self, event: Event, number: int) -> None:
        raise NotImplementedError

    def _tell_again(self, title: str, step: _Running, seconds: float) -> None:
        raise NotImplementedError


class PlainSink(_LineSink):
    """Lines only, for logs, pipes and dumb terminals; progress is told by the heartbeat alone."""

    def _tell(self, event: Event, number: int) -> None:
        line = line_of(event, number)
        if line:
            _write(self._stream, line)

    def _tell_again(self, title: str, step: _Running, seconds: float) -> None:
        words = f"  {step.words}" if step.words else ""
        _write(self._stream, f"{step.number:>2} … {title}  {duration(seconds)}{words}")


class JsonSink(_LineSink):
    """One JSON object a line and event, for programs that watch. Work goes on when nobody reads them any more."""

    _unread = False

    def _tell_again(self, title: str, step: _Running, seconds: float) -> None:
        self._tell(Event(Kind.PROGRESS, title, step.text, seconds, step.done, step.total), step.number)

    def _tell(self, event: Event, number: int) -> None:
        step = self._steps.running.get(event.step)
        if step is not None:
            step.spoke = self._clock()
        record = {
            "kind": event.kind.value,
            "number": number or None,
            "step": event.step,
            "text": event.text,
            "seconds": round(event.seconds, 3),
            "done": event.done,
            "total": event.total,
        }
        self.write({key: value for key, value in record.items() if value not in (None, "")})

    def write(self, record: Mapping[str, object]) -> None:
        """Write an object as one line."""
        with self._lock:
            if self._unread:
                return
            try:
                _write(self._stream, json.dumps(record))
            except BrokenPipeError:
                self._unread = True
                give_up_stdout()


class LiveSink:
    """Ended steps stay as lines; the running ones are redrawn below them, and vanish when there are none.

    The moving part exists only while a step runs, so other output and questions find a quiet terminal.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps = _Steps(clock)
        self._lock = threading.RLock()
        self._console = _console(stream, force_terminal=True)
        self._live: Live | None = None

    def __enter__(self) -> LiveSink:  # noqa: PYI034
        global _on_screen  # noqa: PLW0603 - there is one terminal
        _on_screen = self
        return self

    def __exit__(self, *_: object) -> None:
        global _on_screen  # noqa: PLW0603
        _on_screen = None
        with self._lock:
            self._stop()

    def __call__(self, event: Event) -> None:
        """Show an event; may be called from any thread."""
        from rich.text import Text  # noqa: PLC0415

        with self._lock:
            line = line_of(event, self._steps.see(event))
            if not self._steps.running:
                self._stop()
            if line and event.kind is not Kind.STARTED:
                if self._live is not None:
                    self._live.refresh()  # the step that ended leaves the moving part before its line is written
                text = Text(line)
                # Only the mark is coloured: a screen full of green lines says nothing.
                mark = line.index(_MARKS[event.kind])
                text.stylize(_STYLES[event.kind], mark, mark + 1)
                self._console.print(text, soft_wrap=True)
            if self._steps.running:
                self._start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Take the moving part off the screen while something else is written or asked."""
        with self._lock:
            self._stop()
            try:
                yield
            finally:
                if self._steps.running:
                    self._start()

    def _start(self) -> None:
        if self._live is None:
            from rich.live import Live  # noqa: PLC0415

            self._live = Live(
                get_renderable=self._draw,
                console=self._console,
                refresh_per_second=FRAMES_PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _draw(self) -> RenderableType:
        from rich.console import Group  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        now = self._clock()
        frame = SPINNER[int(now * FRAMES_PER_SECOND) % len(SPINNER)]
        # No lock: this runs in rich's thread, which a thread holding the lock may be waiting for. list() of a dict's
        # items is one step for the interpreter.
        lines = []
        for title, step in list(self._steps.running.items()):
            line = Text(f"{step.number:>2} {frame} {title}  {duration(now - step.began)}", no_wrap=True)
            line.overflow = "ellipsis"
            line.stylize("cyan", 3, 4)
            if step.words:
                line.append(f"  {step.words}", "dim")
            lines.append(line)
        return Group(*lines)


_on_screen: LiveSink | None = None
_on_stdout: JsonSink | None = None


# -- data on stdout ----------------------------------------------------------------------------------------------


def line(text: str) -> None:
    """Write one line of data to stdout, around whatever moves on the terminal."""
    if _on_stdout is not None:
        _on_stdout.write({"kind": "line", "text": text})
        return
    with _quiet():
        _write(sys.stdout, text)


def markdown(text: str) -> None:
    """Write Markdown to stdout: drawn on a terminal, as it is anywhere else."""
    if _on_stdout is not None or choose(sys.stdout, os.environ) != "live":
        line(text.rstrip())
        return
    with _quiet():
        from rich.markdown import Markdown  # noqa: PLC0415

        console = _console(sys.stdout)
        with console.capture() as capture:
            # Addresses are shown, not hidden behind words; commands keep the terminal's own colours.
            console.print(Markdown(text, code_theme="bw", hyperlinks=False))
        _write(sys.stdout, "\n".join(part.rstrip() for part in capture.get().rstrip("\n").splitlines()))


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, styles: Mapping[str, str] | None = None
) -> None:
    """Write a table to stdout. ``styles`` colours whole cells by their text (``{"✗": "red"}``)."""
    if _on_stdout is not None:
        _on_stdout.write(
            {"kind": "table", "title": title, "columns": list(columns), "rows": [list(row) for row in rows]}
        )
        return
    with _quiet():
        console = _console(sys.stdout)
        text = _table_text(console, title, columns, rows, styles or {})
        _write(sys.stdout, text)


def table_text(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], width: int = PLAIN_WIDTH) -> str:
    """Return a table as plain text no wider than ``width`` columns."""
    console = _console(StringIO(), width=width)
    return _table_text(console, title, columns, rows, {})


def _table_text(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Mapping[str, str],
) -> str:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", title_justify="left")
    for column in columns:
        grid.add_column(column, overflow="fold", no_wrap=False)
    for row in rows:
        grid.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    with console.capture() as capture:
        if title:
            console.print(Text(title, style="bold"))
        console.print(grid)
    return "\n".join(part.rstrip() for part in capture.get().rstrip("\n").splitlines())


@dataclass(frozen=True)
class View:
    """A table that is shown again and again, and the lines below it. ``styles`` as in :func:`table`."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    below: Sequence[str] = ()
    styles: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def watching() -> Iterator[Callable[[View], None]]:
    """Give a function that shows the newest view on stdout: redrawn on a terminal, elsewhere only what changed."""
    if choose(sys.stdout, os.environ) != "live":
        yield _Changes(sys.stdout)
        return
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    # What is captured for the text must not be what the moving part hooks itself into.
    paper = _console(sys.stdout)
    with (
        _quiet(),
        Live(console=_console(sys.stdout), auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live,
    ):

        def redraw(view: View) -> None:
            drawn = _table_text(paper, view.title, view.columns, view.rows, view.styles)
            live.update(Text.from_ansi("\n".join([drawn, "", *view.below])), refresh=True)

        yield redraw


class _Changes:
    """Writes the rows that are new or other than before, each as a line with the time of day."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._known: dict[tuple[str, ...], str] = {}
        self._below: tuple[str, ...] = ()

    def __call__(self, view: View) -> None:
        """Show a view."""
        clock = time.strftime("%H:%M:%S")
        now = {tuple(row[:-1]): row[-1] for row in view.rows}
        for key, state in now.items():
            if self._known.get(key) != state:
                _write(self._stream, f"{clock} {' '.join(part for part in key if part)}: {state}")
        for key in (known for known in self._known if known not in now):
            _write(self._stream, f"{clock} {' '.join(part for part in key if part)}: gone")
        if self._below != tuple(view.below):
            for told in view.below:
                _write(self._stream, f"{clock} {told}")
        self._known, self._below = now, tuple(view.below)


# -- questions and bad news --------------------------------------------------------------------------------------


def confirm(question: str) -> bool:
    """Ask a yes-or-no question on stderr. Only ``y`` or ``yes`` is a yes, and only then does it return (True).

    Raises LAB-HOST-008 for any other answer, and when there is no terminal to ask on: nobody can go on by accident.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise LabError(errors.HOST_NOT_CONFIRMED, f"nobody to ask: {question}", fix="run it again with --yes")
    with _quiet():
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes"):
        raise LabError(errors.HOST_NOT_CONFIRMED, "not confirmed, nothing was done")
    return True


def error_text(error: LabError) -> str:
    """Return an error as a person should read it: what, where, the evidence, why, and what to do next."""
    lines = [f"✗ {error.entry.id}  {error.entry.title}", f"  {error.what}"]
    if error.where:
        lines.append(f"  where: {error.where}")
    lines += [f"    | {part}" for part in error.detail.rstrip().splitlines()]
    lines += [
        f"  why: {error.entry.cause}",
        f"  what to do: {error.fix}",
        f"  more: {ANCHORS}#{error.entry.id.lower()}",
    ]
    return "\n".join(lines)


def show_error(error: LabError) -> None:
    """Write an error to stderr, once, at the end of a command."""
    _show(error_text(error), {"✗": "bold red", "  what to do:": "bold", "  where:": "bold", "  why:": "bold"})


def show_interrupted() -> None:
    """Say that the user stopped the command, and that this did no harm."""
    _show("stopped. Run the same command again: it goes on where it was.", {})


def show_bug(report: str) -> None:
    """Write what a program error looks like: not the user's fault, with what a report needs."""
    _show(report, {"✗": "bold red", "  what to do:": "bold"})


def show_story(text: str) -> None:
    """Write what only those want to see who asked for the whole story."""
    _show(text, {})


def show_end(code: int, error: LabError | None) -> None:
    """Write how the command ended, where its events go to stdout; otherwise the exit code says it."""
    if _on_stdout is None:
        return
    record: dict[str, object] = {"kind": "result", "ok": code == 0, "code": code}
    if error is not None:
        record |= {"id": error.entry.id, "title": error.entry.title, "what": error.what, "where": error.where}
        record |= {"cause": error.entry.cause, "fix": error.fix, "detail": error.detail}
    with contextlib.suppress(OSError):  # the disk is full behind stdout, say, and that was just told
        _on_stdout.write({key: value for key, value in record.items() if value != ""})


def give_up_stdout() -> None:
    """Let go of a stdout nobody reads any more: Python would complain of it when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class StoryHandler(logging.Handler):
    """Writes log records to stderr, each as a line that says it is part of the story (``--debug``)."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; may be called from any thread."""
        _show(f" # {record.getMessage()}", {})


def _show(text: str, styles: Mapping[str, str]) -> None:
    """Write lines to stderr, a line's beginning coloured where it can be."""
    with _quiet():
        if choose(sys.stderr, os.environ) != "live":
            _write(sys.stderr, text)
            return
        from rich.text import Text  # noqa: PLC0415

        console = _console(sys.stderr)
        for part in text.splitlines():
            drawn = Text(part)
            for start, style in styles.items():
                if part.startswith(start):
                    drawn.stylize(style, 0, len(start))
            console.print(drawn, soft_wrap=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    live = _on_screen
    if live is None:
        yield
    else:
        with live.paused():
            yield


def _console(stream: TextIO, *, width: int | None = None, force_terminal: bool | None = None) -> Console:
    from rich.console import Console  # noqa: PLC0415

    if width is None and not stream.isatty():
        width = PLAIN_WIDTH
    elif width is None and os.environ.get("TERM", "") in ("", "dumb"):
        # rich takes 80 for a dumb terminal, unless it is told both sizes.
        width = _columns(stream)
    height = None if width is None else HEIGHT
    return Console(
        file=stream,
        width=width,
        height=height,
        force_terminal=force_terminal,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _columns(stream: TextIO) -> int | None:
    """Return how wide a terminal is, None for one that does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _can_show(stream: TextIO, text: str) -> bool:
    """Tell whether a stream has these characters; a text of this process (a test's) has all."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _write(stream: TextIO, text: str) -> None:
    """Write a line at once; a stream that has no such characters gets plain ones instead of an error."""
    if not _can_show(stream, text):
        encoding = stream.encoding
        text = text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    stream.write(f"{text}\n")
    stream.flush()
