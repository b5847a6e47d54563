"""The sheet a trainer takes along: one HTML page that needs nothing else and prints on one side of paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from metallab.config import Lab
from metallab.lessons.workshop import Memory, Rehearsal

NARROW = 3
"""A table of more columns gets no narrower than can be read; it scrolls."""
COLUMNS = ("No.", "Lesson", "State", "Planned", "Start", "Each step")
"""The state before the times: a phone shows the first columns, the others by scrolling."""
STYLE = """\
:root { color-scheme: light dark; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
.wide table { min-width: 40rem; }
caption { text-align: left; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid #9995; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
@media print {
  body { margin: 0; max-width: none; font-size: 10pt; }
  .wide table { min-width: 0; }
  tr { break-inside: avoid; }
}
"""


def page(lab: Lab, played: Sequence[Rehearsal], memory: Memory) -> str:
    """Return the page."""
    good = sum(each.ok for each in played)
    minutes = sum(each.lesson.settings.minutes for each in played)
    network = f"Network {lab.network}, pool {lab.pool_range}, shared address {lab.vip}"
    lessons = [
        [
            str(each.lesson.number),
            each.lesson.settings.title,
            "ok" if each.ok else each.trouble,
            f"{each.lesson.settings.minutes} min",
            _seconds(each.start_seconds),
            ", ".join(_seconds(seconds) for seconds in each.step_seconds) or "–",  # noqa: RUF001 - a dash for nothing
        ]
        for each in played
    ]
    machines = [[name, f"{size} MiB"] for name, size in memory.machines.items()]
    machines.append(["all of them", f"{sum(memory.machines.values())} MiB"])
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Workshop: {escape(lab.name)}</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
<h1>{good} of {len(played)} lessons can be held on the lab {escape(lab.name)}</h1>
<p>{escape(network)}. Planned for learners: {minutes} minutes. The times are those of the lessons' own
solutions and checks.</p>
<h2>Lessons</h2>
{_table("Lessons", COLUMNS, lessons, numbers=(0, 3, 4))}
<h2>Memory</h2>
{_table("Memory", ("Machine", "As in lab.yaml"), machines, numbers=(1,))}
<p>This host has {memory.total} MiB, of which {memory.available} MiB can be had now, with the lab up. Virtual machines
take theirs whole, system containers what they need.</p>
<h2>Before the first learner comes</h2>
<ul>
<li>A learner's own access is <code>./inv lesson.kubectl</code>, good for eight hours: enough where the lesson says so.
The others need the admin's, which stays with you.</li>
<li>A lesson that went wrong: <code>./inv lesson.reset</code>. A lab that went wrong: <code>./inv lab.up</code>.</li>
</ul>
</main>
</body>
</html>
"""


def row(each: Rehearsal) -> tuple[str, str, str, str, str]:
    """Return a lesson as a row for the terminal: number, title, start, all solutions, state."""
    solutions = _seconds(sum(each.step_seconds))
    settings = each.lesson.settings
    return str(each.lesson.number), settings.title, _seconds(each.start_seconds), solutions, each.trouble or "ok"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s"


def _table(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> str:
    head = "".join(_cell("th", text, number=index in numbers) for index, text in enumerate(columns))
    body = "\n".join(
        f"<tr>{''.join(_cell('td', text, number=index in numbers) for index, text in enumerate(cells))}</tr>"
        for cells in rows
    )
    # What can be scrolled can be reached by keyboard.
    wide = " wide" if len(columns) > NARROW else ""
    frame = f'<div class="scroll{wide}" role="region" tabindex="0" aria-label="{escape(name)}">'
    return f"{frame}<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"


def _cell(tag: str, text: str, *, number: bool) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    kind = ' class="number"' if number else ""
    return f"<{tag}{scope}{kind}>{escape(text)}</{tag}>"
