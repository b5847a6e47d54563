"""What every task shares: the lab it is about, its progress on the screen, and errors turned into words and exit codes.

A task body is written ``def up(session: Session, flag: bool = False)``; :func:`task` makes an Invoke task of it. One
that takes long is marked ``long=True`` and gets a flag ``--output json``: each event a line on stdout, and the end.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, overload

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task as invoke_task

from metallab import console, errors, paths, refusals
from metallab.errors import ExitCode, LabError
from metallab.events import Events
from metallab.tasks import _bug

if TYPE_CHECKING:
    from metallab.config import Lab

PROVIDER_HELP = "docker, libvirt or virtualbox instead of what lab.yaml says"
OUTPUT_HELP = "words (default), or json: one event a line on stdout, the last one how it ended"
NOISY = ("kubernetes", "urllib3", "paramiko", "matplotlib", "PIL")
"""Libraries whose own words would drown a story, or hold what is secret in it."""
Body = TypeVar("Body", bound=Callable[..., Any])


@dataclass(frozen=True)
class Session:
    """One command of a user: where progress goes, and the words after ``--``."""

    events: Events
    remainder: tuple[str, ...] = ()

    @functools.cached_property
    def lab(self) -> Lab:
        """Return the lab of this command, read and checked when first asked for."""
        from metallab import config

        for words in config.slips(os.environ):
            self.events.warn(words)
        return config.load(self.lab_file, os.environ)

    @property
    def lab_file(self) -> Path:
        """Return the lab file, which only need be there when somebody names it. Raises LAB-CONF-001."""
        file = paths.lab_file()
        if not paths.is_own_file() and not os.path.exists(file):  # noqa: PTH110 - a name no file can have is one, too
            fix = "name a file that is there, or write one: ./inv config.init"
            raise LabError(
                errors.CONFIG_UNREADABLE, "LAB_FILE names a file that is not there", where=str(file), fix=fix
            )
        return file

    def lab_on(self, provider: str) -> Lab:
        """Return the lab of this command, on the provider named on the command line if one is.

        Raises LAB-HOST-010 for a name that is none.
        """
        from metallab import config

        known = get_args(config.Provider)
        if provider and provider not in known:
            what = f"no provider is called {provider!r}; there is: {', '.join(known)}"
            raise LabError(errors.HOST_CHOICE_UNKNOWN, what)
        lab = self.lab.model_copy(update={"provider": provider}) if provider else self.lab
        for words in config.warnings(lab):
            self.events.warn(words)
        return lab


@overload
def task(body: Body) -> Body: ...
@overload
def task(
    *, positional: Sequence[str] = (), help: Mapping[str, str] | None = None, long: bool = False
) -> Callable[[Body], Body]: ...
def task(
    body: Body | None = None,
    *,
    positional: Sequence[str] = (),
    help: Mapping[str, str] | None = None,  # noqa: A002 - Invoke's own word
    long: bool = False,
) -> Body | Callable[[Body], Body]:
    """Make an Invoke task of ``body``: it gets a :class:`Session`, and its errors end as one message and one code."""
    if body is None:
        return lambda decorated: _make(decorated, positional, help or {}, long=long)
    return _make(body, positional, help or {}, long=long)


def _make(body: Body, positional: Sequence[str], flags_help: Mapping[str, str], *, long: bool) -> Body:
    @functools.wraps(body)
    def shell(_context: Context, *args: object, **flags: object) -> None:
        # Being told to end (a closed terminal, a CI that runs out of time) is like Ctrl-C: what was begun is put back.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        output = str(flags.pop("output", "words")) if long else "words"
        words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
        with console.events_on_stdout(wanted=output == "json"):
            code = _code_of(lambda events: body(Session(events, tuple(words)), *args, **_read(flags, numbers)), output)
        if code:
            raise Exit(code=code)

    shown = dict(flags_help)
    parameters = [*inspect.signature(body).parameters.values()]
    numbers = {one.name: type(one.default) for one in parameters if type(one.default) in (int, float)}
    # Invoke ends in a traceback where a number is none; as text it comes as far as here.
    parameters = [one.replace(default=str(one.default)) if one.name in numbers else one for one in parameters]
    if long:
        parameters.append(inspect.Parameter("output", inspect.Parameter.KEYWORD_ONLY, default="words"))
        shown["output"] = OUTPUT_HELP
    shell.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    made: Body = invoke_task(positional=list(positional), help=shown)(shell)
    return made


def _read(flags: Mapping[str, object], numbers: Mapping[str, type]) -> dict[str, object]:
    """Return a command's flags with numbers read. Raises LAB-HOST-010 for one that is none."""
    read = dict(flags)
    for name in numbers.keys() & flags.keys():
        try:
            read[name] = numbers[name](flags[name])
        except ValueError as error:
            what = f"--{name.replace('_', '-')} takes a number, and {flags[name]!r} is none"
            raise LabError(errors.HOST_CHOICE_UNKNOWN, what, fix="give it a number") from error
    return read


def _code_of(do: Callable[[Events], object], output: str) -> int:
    """Do what a task is for, show how it ended when that was not well, and return the exit code."""
    error: LabError | None = None
    code = int(ExitCode.OK)
    try:
        if debugging():
            _tell_the_story()
        require_output(output, ("words", "json"))
        with console.open_sink(plain=debugging()) as sink:
            do(Events(sink))
    except Exit as ended:
        code = ended.code
    except LabError as caught:
        error = caught
    except KeyboardInterrupt:
        console.show_interrupted()
        code = int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left in the buffer is for nobody.
        console.give_up_stdout()
        return code
    except Exception as caught:  # noqa: BLE001 - the last net: what the system refused, or our own mistake
        error = refusals.of(caught)
        if error is None:
            console.show_bug(_bug.report(caught))
            code = int(ExitCode.BUG)
        else:
            error.__cause__ = caught
    if error is not None:
        code = int(error.entry.exit_code)
        console.show_error(error)
        if debugging():
            console.show_story(_bug.story(error))
    console.show_end(code, error)
    return code


def _tell_the_story() -> None:
    """Have every command, its exit status and its duration said on stderr (``--debug``)."""
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    ours = logging.getLogger("metallab")
    ours.propagate = False
    if not ours.handlers:
        ours.addHandler(console.StoryHandler())


def require_output(output: str, known: Sequence[str] = ("table", "json")) -> None:
    """Refuse a form of output there is not, before anything is asked or changed. Raises LAB-HOST-010."""
    if output not in known:
        what = f"no output is called {output!r}; there is: {', '.join(known)}"
        raise LabError(errors.HOST_CHOICE_UNKNOWN, what)


def finish(code: int) -> None:
    """End the command with this exit code, having said everything already."""
    if code:
        raise Exit(code=code)


def debugging() -> bool:
    """Tell whether the user asked for the whole story (``inv --debug …``)."""
    return logging.getLogger("invoke").isEnabledFor(logging.DEBUG)
