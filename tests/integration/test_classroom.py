"""The pages of lesson.serve: who gets in, what they show in a real browser, and a terminal on a machine.

The lab is one of the loopback: a real API server, one machine that answers by SSH, and others that do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from metallab import errors
from metallab.classroom import server, xterm
from metallab.classroom.desk import Desk
from metallab.cluster.api import Cluster
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Event, Events, silent
from metallab.host.provider import Choice
from metallab.lessons import format as lessons
from metallab.lessons import progress
from metallab.lessons.progress import Progress
from metallab.machines.inventory import Runners
from metallab.machines.labdir import LabDir
from metallab.machines.vagrant import Vagrant
from metallab.site import Site
from tests.integration.chromium import Browser, Look, looks
from tests.integration.conftest import ApiServer
from tests.integration.ssh_machine import machine

LAB = Lab.model_validate({"name": "pages", "network": "127.0.96.0/24"})
ONE = lessons.shelf()[0]
LOOKS = looks((390, 844), (1280, 900))
DESK = LOOKS[2]
SECONDS = 30
CLIENT = str(LAB.address(LAB.client))


@dataclass(frozen=True)
class Served:
    """Pages that are served: their link, their desk, and what serves them."""

    link: str
    desk: Desk
    room: server.Classroom

    @property
    def host(self) -> str:
        return urlsplit(self.link).netloc

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
        """Ask without a browser; no header is sent that is not given. Returns the answer and its text."""
        connection = HTTPConnection("127.0.0.1", int(self.host.partition(":")[2]), timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, headers={"Host": self.host, **headers})
            answer = connection.getresponse()
            return answer, answer.read().decode()

    @property
    def cookie(self) -> str:
        return f"{self.room.cookie}={self.room.token}"

    def at(self, step: int) -> None:
        """Be at a step of the first lesson, as somebody at another terminal would make it."""
        progress.save(self.desk.site.labdir, replace(Progress().begin(ONE), ready=True, step=step))


@pytest.fixture(scope="module")
def site(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Site:
    labdir = LabDir(tmp_path_factory.mktemp("state") / LAB.name)
    labdir.prepare(LAB)
    labdir.write_secret(labdir.kubeconfig, apiserver.kubeconfig.read_text(encoding="utf-8"))
    choice = Choice("docker", "for this test")
    return Site(LAB, labdir, choice, Vagrant(labdir, {}), Runners(LAB, labdir), Cluster(labdir.kubeconfig))


@pytest.fixture(scope="module")
def served(site: Site) -> Iterator[Served]:
    terminal = xterm.fetched(silent())
    assert terminal is not None, "npm could not fetch xterm.js"
    desk = Desk(site)
    links: list[str] = []
    room = server.Classroom(desk, terminal)
    loop = asyncio.new_event_loop()
    task = loop.create_task(room.serve(server.bind(0), links.append))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    deadline = time.monotonic() + SECONDS
    while not links:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield Served(links[0], desk, room)
    loop.call_soon_threadsafe(task.cancel)
    thread.join(timeout=SECONDS)
    assert not thread.is_alive()


@pytest.fixture(scope="module", autouse=True)
def known(browser: Browser, served: Served) -> None:
    """Have the browser follow the link once: it has the cookie then."""
    browser.show(served.link, DESK)


def eventually(browser: Browser, script: str, what: str) -> None:
    """Wait until a script says so."""
    WebDriverWait(browser.driver, SECONDS).until(lambda _: browser.ask(f"return {script}"), what)


# -- who gets in -------------------------------------------------------------------------------------------------


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/live", UPGRADE),
        ("/terminal/client", UPGRADE),
        ("/", {}),
        ("/?token=guess", {}),
        ("/", {"Cookie": "metallab-1=guess"}),
        ("/static/classroom.js", {}),
        ("/picture.svg", {}),
        ("/nothing", {}),
    ],
)
def test_nobody_gets_in_without_the_token(served: Served, path: str, headers: dict[str, str]) -> None:
    answer, text = served.ask(path, **headers)
    assert answer.status == 403
    assert "Not this way" in text


@pytest.mark.parametrize(
    "headers",
    [{"Host": "lab.example"}, {"Host": "127.0.0.1:1"}, {"Origin": "https://example.org"}, {"Origin": "null"}],
)
def test_the_right_cookie_is_refused_under_another_name_or_from_another_page(
    served: Served, headers: dict[str, str]
) -> None:
    for path, more in (("/", {}), ("/live", UPGRADE), ("/terminal/client", UPGRADE)):
        assert served.ask(path, **{"Cookie": served.cookie, **more, **headers})[0].status == 403


def test_the_token_becomes_a_cookie_no_script_can_read_and_leaves_the_address(served: Served) -> None:
    answer, _ = served.ask(f"/?token={served.room.token}")
    assert (answer.status, answer.getheader("Location")) == (302, "/")
    kept = answer.getheader("Set-Cookie") or ""
    assert kept.startswith(served.cookie)
    assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in kept.split(";")}


def test_a_page_says_what_a_browser_may_do(served: Served) -> None:
    answer, text = served.ask("/", Cookie=served.cookie)
    assert answer.status == 200
    policy = answer.getheader("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert answer.getheader("Cache-Control") == "no-store"
    assert served.room.token not in text


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/static/desk.py", 404), ("/start", 405)])
def test_there_is_nothing_else(served: Served, path: str, status: int) -> None:
    assert served.ask(path, Cookie=served.cookie)[0].status == status


def test_only_the_loopback_is_listened_on(served: Served) -> None:
    elsewhere = ("127.0.0.2", int(served.host.partition(":")[2]))
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(elsewhere, timeout=SECONDS)


def test_a_port_that_is_taken_is_refused(served: Served) -> None:
    with pytest.raises(LabError, match="in use") as caught:
        server.bind(int(served.host.partition(":")[2]))
    assert caught.value.entry is errors.LESSON_PORT
    for number in (70_000, -1):
        with pytest.raises(LabError, match="is no port"):
            server.bind(number)


# -- what is shown -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize(("path", "step"), [("/", 1), ("/lesson", 1), ("/lesson", 3), ("/lesson", 5)])
def test_it_can_be_read(browser: Browser, served: Served, path: str, step: int, look: Look, tmp_path: Path) -> None:
    served.at(step)
    browser.show(served.url(path), look)
    if path == "/lesson":
        eventually(browser, "!document.getElementById('drawing').hidden", "the picture")
    browser.shoot(tmp_path / "page.png")
    assert browser.protruding() == []
    assert browser.violations() == []
    assert browser.said() == []


def test_a_check_that_does_not_hold_says_so(browser: Browser, served: Served) -> None:
    served.at(1)
    browser.show(served.url("/lesson"), DESK)
    browser.driver.find_element(By.CSS_SELECTOR, ".check-step button.main").click()
    eventually(browser, "document.getElementById('said').classList.contains('bad')", "what the check says")
    assert "Not yet." in browser.driver.find_element(By.ID, "said").text
    assert progress.load(served.desk.site.labdir).step == 1


def test_a_hint_more_each_time_until_there_is_none(browser: Browser, served: Served) -> None:
    served.at(1)
    browser.show(served.url("/lesson"), DESK)
    for number in range(1, len(ONE.steps[0].hints) + 1):
        browser.driver.find_element(By.CSS_SELECTOR, "button[formaction='/hint']").click()
        eventually(browser, f"document.querySelectorAll('.hint').length === {number}", f"hint {number}")
    assert not browser.driver.find_elements(By.CSS_SELECTOR, "button[formaction='/hint']")


def test_a_page_follows_somebody_who_gets_on_at_another_terminal(browser: Browser, served: Served) -> None:
    served.at(1)
    browser.show(served.url("/lesson"), DESK)
    served.at(2)
    eventually(browser, "document.getElementById('step').textContent.startsWith('Step 2')", "the next step")


def test_what_cannot_be_done_is_told_with_what_to_do(browser: Browser, served: Served) -> None:
    progress.save(served.desk.site.labdir, Progress())
    browser.show(served.url("/lesson"), DESK)
    assert browser.ask("return document.querySelector('h1').textContent") == "Lessons"
    browser.ask("document.querySelector('input[name=lesson]').value = '99'")
    browser.driver.find_element(By.CSS_SELECTOR, ".shelf button").click()
    eventually(browser, "document.getElementById('said').classList.contains('trouble')", "the refusal")
    assert "LAB-LSN-001" in browser.driver.find_element(By.ID, "said").text


def test_one_thing_at_a_time(served: Served) -> None:
    served.at(1)
    statuses = []

    def check() -> None:
        statuses.append(served.ask("/check", "POST", Cookie=served.cookie, Origin=f"http://{served.host}")[0].status)

    threads = [threading.Thread(target=check) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=SECONDS)
    assert sorted(statuses) == [200, 409]


# -- a terminal --------------------------------------------------------------------------------------------------


def screen(browser: Browser) -> str:
    """Return what a terminal shows, as a screen reader has it."""
    return str(browser.ask("return document.querySelector('.terminal:not([hidden]) .xterm-accessibility').textContent"))


def test_a_terminal_is_a_shell_on_the_machine(browser: Browser, served: Served, tmp_path: Path) -> None:
    served.at(1)
    with machine(CLIENT, served.desk.site.labdir) as connections:
        browser.show(served.url("/lesson"), DESK)
        browser.driver.find_element(By.CSS_SELECTOR, f"[data-machine={LAB.client.name}]").click()
        eventually(browser, "document.querySelector('.terminal:not([hidden]) textarea') !== null", "the terminal")
        keyboard = browser.driver.switch_to.active_element
        keyboard.send_keys("echo wo$((40 + 2))rd; stty size", Keys.ENTER)
        WebDriverWait(browser.driver, SECONDS).until(lambda _: "wo42rd" in screen(browser), "what was typed to be done")
        browser.shoot(tmp_path / "terminal.png")
        assert browser.violations() == []
        keyboard.send_keys("exit", Keys.ENTER)
        WebDriverWait(browser.driver, SECONDS).until(lambda _: "[ended" in screen(browser), "its end")
        browser.driver.find_element(By.CSS_SELECTOR, f"[data-machine={LAB.client.name}]").click()
        WebDriverWait(browser.driver, SECONDS).until(
            lambda _: "$" in screen(browser) and "wo42rd" not in screen(browser), "a new shell"
        )
        # A machine that is gone ends it, too.
        for transport in connections:
            transport.close()
        WebDriverWait(browser.driver, SECONDS).until(lambda _: "[ended" in screen(browser), "its end")
    assert served.room.shells == set()


def test_a_machine_that_does_not_answer_is_told(browser: Browser, served: Served) -> None:
    served.at(1)
    browser.show(served.url("/lesson"), DESK)
    browser.driver.find_element(By.CSS_SELECTOR, f"[data-machine={LAB.control_plane.name}]").click()
    WebDriverWait(browser.driver, SECONDS).until(lambda _: "LAB-MACH-" in screen(browser), "why not")


# -- as a command ------------------------------------------------------------------------------------------------


def test_xterm_is_kept_by_its_content_and_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = xterm.fetched(silent())
    assert first is not None
    assert {file.name for file in first.iterdir()} == set(xterm.FILES)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert xterm.fetched(silent()) == first
    lock = json.loads((xterm.PINS / "package-lock.json").read_text(encoding="utf-8"))
    assert all("integrity" in one for name, one in lock["packages"].items() if name)


def test_without_npm_there_are_pages_and_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[Event] = []
    assert xterm.fetched(Events(said.append)) is None
    assert "npm" in said[-1].text
