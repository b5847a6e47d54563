"""The pages over HTTP, on this host's loopback and for one browser: tornado's one home.

Whoever may use them holds the lab's admin rights, so: loopback only, a token in the link that becomes a cookie no
script can read, no name but the loopback's (a foreign page may have a name resolve to 127.0.0.1: DNS rebinding), and
nothing asked for by another site's page.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from metallab import errors
from metallab.classroom import pages, xterm
from metallab.classroom.desk import Desk, Said, View
from metallab.errors import LabError
from metallab.run import cancel
from metallab.run.ssh import Shell

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost")
LAST_PORT = 65535
LOOK_SECONDS = 5.0
"""Between two looks at the lab while somebody has a page open; a look takes about one."""
MOST_TERMINALS = 16
MOST_TYPED = 1 << 20
"""Bytes in one message of a terminal: what somebody pastes at once."""
SEND_SECONDS = 30.0
WINDOW = {"columns": 80, "rows": 24}
WIDEST = 1000
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""xterm.js brings its own style elements; nothing else is inline, and no script is."""
KINDS = {".css": "text/css", ".js": "text/javascript"}


def bind(port: int) -> socket.socket:
    """Take a port of the loopback, any free one for 0. Before the process enters the lab's network: a socket stays.

    Raises LAB-LSN-007 when the port is taken, not this user's to take, or none.
    """
    if not 0 <= port <= LAST_PORT:  # the system would take its last 16 bits
        raise LabError(errors.LESSON_PORT, f"{port} is no port")
    try:
        taken = socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise LabError(errors.LESSON_PORT, f"port {port}: {error.strerror}") from error
    taken.settimeout(0)  # tornado waits for it
    return taken


def serve(desk: Desk, port: socket.socket, terminal: Path | None, ready: Callable[[str], None]) -> None:
    """Serve the pages until Ctrl-C. ``terminal`` is the folder of xterm.js; ``ready`` is given the link to open.

    A start that is being made then is ended at its next wait; the next ``lesson.start`` goes on.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Classroom(desk, terminal).serve(port, ready))


class Classroom:
    """One desk served: who may use it, what is being done for it, and who is told."""

    def __init__(self, desk: Desk, terminal: Path | None, token: str = "") -> None:
        self.desk, self.terminal = desk, terminal
        self.token = token or secrets.token_urlsafe(32)
        self.hosts: frozenset[str] = frozenset()
        self.cookie = ""
        self.listeners: set[Live] = set()
        self.shells: set[Shell] = set()
        self.seen: View | None = None
        self._hands = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lesson")
        self._eyes = ThreadPoolExecutor(max_workers=1, thread_name_prefix="look")
        self._looking: Future[View] | None = None
        self._busy = threading.Lock()

    async def serve(self, port: socket.socket, ready: Callable[[str], None]) -> None:
        """Serve until the task is cancelled."""
        number = int(port.getsockname()[1])
        self.hosts = frozenset(f"{name}:{number}" for name in NAMES)
        # Cookies do not know ports: two labs' pages must not take each other's.
        self.cookie = f"metallab-{number}"
        loop = asyncio.get_running_loop()
        self.desk.tell = lambda line: _told(loop, lambda: self.tell({"progress": line}))
        server = HTTPServer(self.application())
        server.add_socket(port)
        looks = PeriodicCallback(self.look, LOOK_SECONDS * 1000)
        looks.start()
        ready(f"http://{LOOPBACK}:{number}/?token={self.token}")
        try:
            await asyncio.Event().wait()
        finally:
            looks.stop()
            server.stop()
            self.desk.tell = lambda _line: None
            for shell in list(self.shells):
                shell.close()
            cancel.request()
            self._hands.shutdown(wait=True, cancel_futures=True)
            self._eyes.shutdown(wait=True, cancel_futures=True)
            cancel.reset()

    def application(self) -> Application:
        """Return what answers which address."""
        mine: dict[str, object] = {"room": self}
        return Application(
            [
                (r"/", Shelf, mine),
                (r"/lesson", LessonPage, mine),
                (r"/pane", Pane, mine),
                (r"/picture\.svg", Drawing, mine),
                (r"/(start|reset|check|hint)", Act, mine),
                (r"/static/([a-z.-]+)", Static, mine),
                (r"/live", Live, mine),
                (r"/terminal/([a-z0-9-]+)", Terminal, mine),
            ],
            default_handler_class=Nothing,
            default_handler_args=mine,
            log_function=lambda _handler: None,  # who asked for which page is nobody's business
            websocket_ping_interval=20,
            websocket_max_message_size=MOST_TYPED,
        )

    def knows(self, token: str) -> bool:
        """Tell whether a token is the link's."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def tell(self, message: dict[str, object]) -> None:
        """Send a message to every open page."""
        text = json.dumps(message)
        for listener in list(self.listeners):
            listener.send(text)

    async def do(self, what: Callable[[], Said]) -> Said | None:
        """Do what takes time beside the pages; None when something else is being done."""
        if not self._busy.acquire(blocking=False):
            return None
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hands, what)
        finally:
            self._busy.release()

    async def look(self) -> None:
        """Look at the lab, if somebody wants to see it, and tell what is seen."""
        if not self.listeners or (self._looking is not None and not self._looking.done()):
            return
        self._looking = self._eyes.submit(self.desk.view)
        self.seen = await asyncio.wrap_future(self._looking)
        self.tell({"picture": asdict(self.seen), "mark": self.desk.mark()})


def _told(loop: asyncio.AbstractEventLoop, do: Callable[[], None]) -> None:
    """Have something done by the loop's own thread, unless it has ended."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(do)


class _Guarded(RequestHandler):
    """What every answer has in common: who may ask, and what a browser may do with it."""

    room: Classroom

    def initialize(self, room: Classroom) -> None:
        self.room = room

    def set_default_headers(self) -> None:
        for name, value in (
            ("Cache-Control", "no-store"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        if self.request.host not in self.room.hosts:
            raise HTTPError(403)
        self.set_header("Content-Security-Policy", POLICY.format(host=self.request.host))
        origin = self.request.headers.get("Origin")
        # Browsers name the page that asks wherever something is changed; programs without one have the cookie's word.
        if origin is not None and origin != f"http://{self.request.host}":
            raise HTTPError(403)
        token = self.get_query_argument("token", "")
        if token and self.request.method == "GET" and self.room.knows(token):
            self.set_cookie(self.room.cookie, token, httponly=True, samesite="Strict")
            # What is in the address bar is in the history, on the screen, and in the next screenshot.
            self.redirect(self.request.path)
            return
        if not self.room.knows(self.get_cookie(self.room.cookie) or ""):
            raise HTTPError(403)

    def write_error(self, status_code: int, **_: object) -> None:
        if status_code == 403:  # noqa: PLR2004 - HTTP's own number
            self.finish(pages.refused())
        else:
            self.finish(f"{status_code}: {self._reason}")


class Nothing(_Guarded):
    """An address there is not."""

    def get(self) -> None:
        """Say so."""
        raise HTTPError(404)


class Shelf(_Guarded):
    """All lessons."""

    def get(self) -> None:
        """Show them."""
        self.finish(pages.shelf(self.room.desk))


class LessonPage(_Guarded):
    """The lesson that is going on."""

    def get(self) -> None:
        """Show it."""
        self.finish(pages.lesson(self.room.desk, terminals=self.room.terminal is not None))


class Pane(_Guarded):
    """The part of it that changes."""

    def get(self) -> None:
        """Show it."""
        self.finish(pages.pane(self.room.desk))


class Drawing(_Guarded):
    """The lab as it was last seen."""

    def get(self) -> None:
        """Show it."""
        if self.room.seen is None:
            raise HTTPError(404)
        self.set_header("Content-Type", "image/svg+xml")
        self.finish(self.room.seen.drawing)


class Static(_Guarded):
    """The pages' style and program, and xterm.js."""

    def get(self, name: str) -> None:
        """Hand one out; the names are a list, not a folder's."""
        ours = {"style.css": pages.style, "classroom.js": pages.script}
        self.set_header("Content-Type", f"{KINDS.get(Path(name).suffix, 'text/plain')}; charset=utf-8")
        if name in ours:
            self.finish(ours[name]())
        elif name in xterm.FILES and self.room.terminal is not None:
            self.finish((self.room.terminal / name).read_bytes())
        else:
            raise HTTPError(404)


class Act(_Guarded):
    """What a learner does: a form's fields in, how it came out and the pane as it is now back."""

    async def post(self, what: str) -> None:
        """Do it; 409 while something else is being done."""
        desk, field = self.room.desk, self.get_body_argument
        lesson, answer = field("lesson", ""), field("answer", "")
        acts: dict[str, Callable[[], Said]] = {
            "start": lambda: desk.start(lesson),
            "reset": desk.reset,
            "check": lambda: desk.check(answer),
            "hint": desk.hint,
        }
        said = await self.room.do(acts[what])
        if said is None:
            self.set_status(409)
            self.finish("Something else is being done: wait for its end.")
            return
        self.finish({"said": asdict(said), "pane": pages.pane(desk)})
        await self.room.look()


class _Socket(_Guarded, WebSocketHandler):
    """A connection that stays; the same guard, and an origin that must be named."""

    def check_origin(self, origin: str) -> bool:
        """Tell whether a page of ours asks."""
        return origin == f"http://{self.request.host}"


class Live(_Socket):
    """A page that wants to be told."""

    async def open(self) -> None:
        """Tell what is known, then look."""
        self.room.listeners.add(self)
        if self.room.seen is not None:
            self.send(json.dumps({"picture": asdict(self.room.seen)}))
        await self.room.look()

    def send(self, text: str) -> None:
        """Send a message; a page that is gone needs none."""
        try:
            sent = self.write_message(text)
        except WebSocketClosedError:
            self.on_close()
            return
        # One that goes away while it is written to is no error either, but asyncio asks for somebody to look.
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())

    def on_message(self, message: str | bytes) -> None:
        """Hear nothing: a page only listens here."""

    def on_close(self) -> None:
        """Tell it no more."""
        self.room.listeners.discard(self)


class Terminal(_Socket):
    """A shell on a machine: bytes both ways, and sizes as JSON."""

    shell: Shell | None = None

    async def open(self, machine: str) -> None:
        """Open the shell, and hand on what it shows for as long as it lasts."""
        if len(self.room.shells) >= MOST_TERMINALS:
            self._end(f"{MOST_TERMINALS} terminals are open: close one")
            return
        columns, rows = _window(lambda name: self.get_query_argument(name, ""))
        loop = asyncio.get_running_loop()
        try:
            self.shell = await loop.run_in_executor(None, self.room.desk.shell, machine, columns, rows)
        except LabError as error:
            self._end(f"{error.what}. {error.fix} ({error.entry.id})")
            return
        self.room.shells.add(self.shell)
        threading.Thread(target=self._hand_on, args=(self.shell, loop), daemon=True).start()

    def _hand_on(self, shell: Shell, loop: asyncio.AbstractEventLoop) -> None:
        """Send what the shell shows, a piece at a time: the next is read when the page has taken the last."""
        while shown := shell.read():
            try:
                asyncio.run_coroutine_threadsafe(self._send(shown), loop).result(timeout=SEND_SECONDS)
            except Exception:  # noqa: BLE001 - the page or the loop is gone, and the shell with it
                break
        _told(loop, self.close)

    async def _send(self, shown: bytes) -> None:
        await self.write_message(shown, binary=True)

    async def on_message(self, message: str | bytes) -> None:
        """Type what was typed, or take the new size. The next message is read when this one is done with."""
        if self.shell is None:
            return
        loop = asyncio.get_running_loop()
        if isinstance(message, bytes):
            await loop.run_in_executor(None, self.shell.write, message)
            return
        try:
            wanted = json.loads(message)
            columns, rows = _window(lambda name: wanted[name])
        except (ValueError, TypeError, KeyError):
            return
        await loop.run_in_executor(None, self.shell.resize, columns, rows)

    def on_close(self) -> None:
        """Hang up."""
        if self.shell is not None:
            self.room.shells.discard(self.shell)
            self.shell.close()

    def _end(self, words: str) -> None:
        self.write_message(json.dumps({"ended": words}))
        self.close()


def _window(ask: Callable[[str], object]) -> tuple[int, int]:
    """Return columns and rows, the usual ones where what is said is no number."""
    sizes = []
    for name, usual in WINDOW.items():
        try:
            sizes.append(min(max(int(str(ask(name))), 1), WIDEST))
        except ValueError:
            sizes.append(usual)
    columns, rows = sizes
    return columns, rows
