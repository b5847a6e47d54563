"""The page of a report: whole, one file, nothing loaded, nothing run, whatever stands in the report."""

from __future__ import annotations

import dataclasses
import functools
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab.errors import ExitCode
from metallab.proof.records import Check, Evidence, Picture, Place, Report, Verdict
from metallab.proof.report import html, network, rates, stories, view
from metallab.proof.report.words import slug
from tests.unit import report_samples
from tests.unit.report_samples import ALL, NASTY, one

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
LOADS = {"src", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href"}


class Page(HTMLParser):
    """Reads a page and complains about an element that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.styles = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.styles += data
        else:
            self.text += data

    def values(self, wanted: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == wanted]


@functools.cache
def text(name: str) -> str:
    return html.page(ALL[name]())


@functools.cache
def page(name: str) -> Page:
    return Page(text(name))


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_loaded_and_nothing_is_run(name: str) -> None:
    found = page(name)
    assert not {"script", "link", "iframe", "object", "embed", "img", "base", "form", "foreignobject"} & found.tags
    for _, attribute, value in found.attributes:
        assert attribute not in LOADS
        assert not attribute.startswith("on")
        assert attribute != "style", "the content security policy would ignore it"
        assert attribute != "href" or value.startswith("#")
    assert not re.search(r"url\(|@import|@font-face|https?:", found.styles)


@pytest.mark.parametrize("name", ALL)
def test_every_id_is_there_once_and_every_link_leads_to_one(name: str) -> None:
    found = page(name)
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9-]+", item) for item in ids)
    wanted = [value[1:] for value in found.values("href")]
    wanted += [item for value in found.values("aria-labelledby") for item in value.split()]
    assert set(wanted) <= set(ids)


@pytest.mark.parametrize("name", ["passing", "failing", "nothing", "warned"])
def test_every_check_and_all_that_was_seen_is_on_the_page(name: str) -> None:
    words = page(name).text
    ids = page(name).values("id")
    for check in ALL[name]().checks:
        assert f"check-{check.id}" in ids
        for part in (check.claim, check.seen, check.reason, check.warning):
            assert part in words
        for item in check.evidence:
            for part in (item.command, item.stdout, item.stderr):
                assert part in words, "word for word"


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        ("passing", "Proven: lab metallab, 192.168.96.70"),
        ("warned", "Proven, with warnings: lab metallab, 192.168.96.70"),
        ("failing", "Not proven: lab metallab, 192.168.96.70"),
        ("nothing", "Nothing could be tested: lab metallab, 192.168.96.70"),
    ],
)
def test_the_headline_is_the_exit_code_in_words(name: str, headline: str) -> None:
    assert f"<title>{headline}</title>" in text(name)


def test_every_way_to_end_has_a_headline() -> None:
    assert set(view.TITLES) == {code for code in ExitCode if code <= ExitCode.WARNINGS}


def test_what_failed_is_linked_at_the_top_and_its_evidence_is_open() -> None:
    top = text("failing").partition('id="network"')[0]
    assert re.findall(r'href="#(check-[a-z-]+)"', top) == ["check-one-mac", "check-no-tcp", "check-again-tcp"]
    assert "4 more, which need those above to pass first" in top
    assert text("failing").count("<details") > text("failing").count(" open>") == 3
    assert " open>" not in text("passing")


def test_a_report_with_nothing_in_it_is_a_page_too() -> None:
    words = Page(html.page(Report("metallab", "192.168.96.70", "", 0.0))).text
    assert "Of 0 checks none could be run" in words
    assert "This run recorded no picture of the network." in words
    assert "This run asked nothing with a service deleted." in words
    assert "Nothing was measured." in words


def test_the_same_report_makes_the_same_page() -> None:
    assert html.page(report_samples.warned()) == text("warned")


def test_nasty_text_is_only_text() -> None:
    found = page("hostile")
    assert "script" not in found.tags
    for nasty in ("</script><script>alert(1)</script>", "]]>", "{{ 7 * 7 }}{% raw %}", "&amp;&#0;", "<!--"):
        assert nasty in found.text
    assert "a␀b␛[31mred␛[0m␡‹U+0085›" in found.text  # noqa: RUF001
    assert "‹U+202E›gnp.exe" in found.text  # noqa: RUF001
    assert "over␍written" in found.text
    assert "Grüße, 世界, 🙂, é" in found.text
    assert "x" * 1_000_000 in found.text
    assert not set(text("hostile")) & {"\0", "\x1b", "\u202e", "\r", "\ufffe"}


@given(st.text(st.characters(codec=None, categories=None)))
def test_no_text_breaks_it(words: str) -> None:
    evidence = Evidence(words, words, 1, words, words, 1.0)
    checks = (
        Check("no-tcp", words, Verdict.PASS, words, words, words, "", words, 1.0, (evidence,)),
        Check(words, words, Verdict.FAIL, words, words, words, words, words, 1.0, (evidence,)),
        Check(words, words, Verdict.NOT_RUN, reason=words),
    )
    places = (Place(words, words, words, words, announces=True), Place(words, "client", words))
    made = html.page(Report(words, words, words, 1.0, words, {words: words}, Picture(words, words, places), checks))
    assert Page(made).tags >= {"h1", "pre", "svg"}
    made.encode()


def test_nasty_samples_are_in_the_nasty_report() -> None:
    assert all(nasty in report_samples.hostile().lab for nasty in NASTY)


# -- the drawing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(1, 9))
def test_machines_stand_apart_and_inside_the_drawing(count: int) -> None:
    places = report_samples.picture(7).places[-count:]
    for drawing in network.drawings(Picture("192.168.96.0/24", "", places), "192.168.96.70"):
        assert len(drawing.boxes) == count
        for number, box in enumerate(drawing.boxes):
            assert box.x >= 0
            assert box.x + box.width <= drawing.width
            assert box.y >= 0
            assert box.y + box.height <= drawing.height
            for other in drawing.boxes[:number]:
                beside = box.x >= other.x + other.width or other.x >= box.x + box.width
                below = box.y >= other.y + other.height or other.y >= box.y + box.height
                assert beside or below
            for line in (*box.lines, *box.marks):
                assert box.x < line.x
                assert line.x + line.width <= box.x + box.width
                assert box.y < line.y < box.y + box.height


def test_the_way_leads_from_the_client_to_the_machine_that_answers() -> None:
    wide, tall = network.drawings(report_samples.picture(), "192.168.96.70")
    assert wide.way == "480,76 480,112 800,112 800,148"
    assert len(tall.way.split()) == 4
    nobody = tuple(dataclasses.replace(place, announces=False) for place in report_samples.picture().places)
    assert all(drawing.way == "" for drawing in network.drawings(Picture("", "", nobody), ""))


def test_the_drawing_can_be_heard() -> None:
    words = network.words(report_samples.picture(), "192.168.96.70")
    assert words.startswith("One network segment, 192.168.96.0/24, connects control-plane (192.168.96.10, MAC 02:42:")
    assert "answers ARP for 192.168.96.70, elected by MetalLB" in words
    assert network.words(Picture("", ""), "") == ""


# -- the stories -----------------------------------------------------------------------------------------------


def told(report: Report) -> stories.Story:
    return stories.stories(report)[0]


def test_the_story_has_the_real_words() -> None:
    story = told(report_samples.passing())
    assert [scene.title for scene in story.scenes] == [
        "A1 everything in place",
        "B the TCP service deleted",
        "A2 the TCP service back",
    ]
    assert story.quote is not None
    assert story.quote.words == "iperf3: error - unable to connect to server: No route to host"
    assert story.holds
    assert "deleted it failed: “unable to connect to server: No route to host”" in story.ending


def test_a_failure_is_worth_nothing_when_something_around_it_did_not_hold() -> None:
    report = report_samples.passing()
    for name, when in (("udp", "before"), ("b-echo", "meanwhile"), ("again-tcp", "afterwards")):
        broken = dataclasses.replace(one(report, name), verdict=Verdict.FAIL)
        story = told(report_samples.changed(report, **{name.replace("-", "_"): broken}))
        assert not story.holds
        assert f"but {when} {name} did not pass. So the failure may have another cause." in story.ending


def test_a_story_goes_as_far_as_its_checks_ran() -> None:
    first, second = stories.stories(report_samples.failing())
    assert "what had to fail did not: “it works: 0 of 91 datagrams lost”" in first.ending
    assert [scene.title for scene in second.scenes] == ["A2 the TCP service back"]
    assert second.ending == "This was not run, because again-tcp did not pass. So this run says nothing about it."
    assert all(story.scenes == () for story in stories.stories(report_samples.nothing()))


def test_of_a_long_answer_the_end_is_quoted() -> None:
    report = report_samples.passing()
    long = Evidence("iperf3", "client", 1, "", "\n".join(map(str, range(100))), 1.0)
    story = told(
        report_samples.changed(report, no_tcp=dataclasses.replace(one(report, "no-tcp"), seen="", evidence=(long,)))
    )
    assert story.quote is not None
    assert story.quote.words.splitlines() == ["…", *map(str, range(94, 100))]


# -- numbers ---------------------------------------------------------------------------------------------------


def test_runs_are_told_by_protocol_and_way() -> None:
    tcp, udp = rates.groups(report_samples.passing())
    assert [(run.check.id, run.path, run.style) for run in tcp.runs] == [
        ("tcp", "through the shared address", "run-0"),
        ("direct", "straight to 192.168.96.11", "run-1"),
        ("again-tcp", "through the shared address", ""),
    ]
    assert rates.left_out(tcp.runs) == "Only in the table: again-tcp."
    assert udp.offered == 1_048_576
    assert udp.runs[0].values == ("1.05 Mbit/s", "1.05 Mbit/s", "0 of 272", "0.013 ms")
    assert udp.words.startswith("UDP, what the client sent in each interval. udp (through the shared address): 3 ")


def test_a_run_that_was_made_once_more_has_a_name_of_its_own() -> None:
    report = report_samples.passing()
    udp = one(report, "udp")
    twice = report_samples.changed(report, udp=dataclasses.replace(udp, flows=(*udp.flows, *udp.flows)))
    _tcp, group = rates.groups(twice)
    assert [(run.check.id, run.path) for run in group.runs][:2] == [
        ("udp", "through the shared address"),
        ("udp", "through the shared address, once more"),
    ]


def test_a_plot_has_its_lines_and_no_look_of_its_own() -> None:
    found = re.findall(r'<div aria-hidden="true">(<svg.*?</svg>)</div>', text("passing"), re.DOTALL)
    assert len(found) == 2
    assert [re.findall(r'class="(run-\d|offered)"', plot) for plot in found] == [
        ["run-0", "run-1"],
        ["run-0", "run-1", "offered"],
    ]
    for plot in found:
        assert not re.search(r"\b(style|fill|stroke|font-family|id|clip-path)=", plot)
        assert "<defs" not in plot
        assert "<metadata" not in plot


def test_a_number_nobody_knows_is_not_a_zero() -> None:
    report = report_samples.passing()
    flow = dataclasses.replace(one(report, "udp").flows[0], sent=None, jitter_ms=None, offered_bits_per_second=None)
    check = dataclasses.replace(one(report, "udp"), flows=(flow,))
    run = rates.groups(report_samples.changed(report, udp=check))[1].runs[0]
    assert run.values == ("1.05 Mbit/s", "unknown", "unknown", "unknown")


def test_time_adds_up() -> None:
    report = report_samples.passing()
    made = view.view(report)
    assert sum(line.seconds for line in made.times) == pytest.approx(report.seconds)
    assert made.times[-1].title == "Between the checks"
    assert all(0 <= line.short <= line.long < 100.001 for line in made.times)
    assert sum(line.least or 0 for line in made.times) == pytest.approx(report.least)


def test_ids_that_come_twice_are_told_apart() -> None:
    twice = Check("tcp", "TCP", Verdict.PASS), Check("tcp", "TCP", Verdict.PASS), Check("!", "?", Verdict.PASS)
    made = view.view(Report("metallab", "192.168.96.70", "", 1.0, checks=twice))
    assert list(made.anchors.values()) == ["check-tcp", "check-tcp-at-1", "check-"]
    assert slug("B the TCP service deleted") == "b-the-tcp-service-deleted"


def test_of_two_machines_that_answer_neither_is_the_way() -> None:
    good = report_samples.passing()
    places = [dataclasses.replace(place, announces=place.role == "worker") for place in good.picture.places]
    both = dataclasses.replace(good, picture=dataclasses.replace(good.picture, places=tuple(places)))
    words = Page(html.page(both)).text
    assert "More than one machine answers ARP for 192.168.96.70." in words
    assert "The heavy line is the way" not in words
    assert "The heavy line is the way" in Page(html.page(good)).text
