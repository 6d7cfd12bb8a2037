# SPDX-License-Identifier: MIT
"""report.html of a made run in a browser: as it is laid out, sorted, filtered, printed, and without script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator

import pytest

from browser import LAYOUT, Browser, program
from faultline import page, pictures
from faultline.verdict import Results
from test_page import hostile_page

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium is here")

TABLE = "document.querySelector('#s1 table')"
FIRST_CELL = f"[...{TABLE}.tBodies[0].rows].filter(row => row.cells.length > 3)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


@pytest.fixture(scope="module")
def shown(
    whole: Results, whole_drawn: list[tuple[pictures.Picture, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page as a file."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.html(whole, whole_drawn), encoding="utf-8")
    return path


def focus(browser: Browser, expression: str) -> None:
    """Moves the focus as the keyboard would."""
    assert browser.value(f"{expression}.focus(), document.activeElement === {expression}")


@pytest.mark.parametrize("scheme", ("light", "dark"))
@pytest.mark.parametrize("width", (400, 1600))
def test_layout(width: int, scheme: str, browser: Browser, shown: Path, whole_drawn: list[object]) -> None:
    browser.look(width, scheme)
    browser.open(shown)
    assert browser.value(LAYOUT) == [] and browser.said == [] and browser.asked == [shown.as_uri()]
    assert browser.value("document.querySelectorAll('figure svg').length") == len(whole_drawn)


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1) of "rgb(r, g, b)"."""
    shares = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_contrast(scheme: str, browser: Browser, shown: Path) -> None:
    """Every text has the contrast that WCAG 2.1 asks for (4.5), on the page's paper and on its cards."""
    browser.look(1600, scheme)
    browser.open(shown)
    colours = browser.value(
        "[...new Set([...document.querySelectorAll('body :is(p, th, td, li, span, button, output)')]"
        ".map(e => getComputedStyle(e).color))]"
    )
    papers = browser.value(
        "['body', '.tally li'].map(e => getComputedStyle(document.querySelector(e)).backgroundColor)"
    )
    assert len(colours) >= 6 and (luminance(papers[0]) > 0.5) == (scheme == "light")
    for colour in colours:
        for paper in papers:
            low, high = sorted((luminance(colour), luminance(paper)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (colour, paper)
    assert browser.value("getComputedStyle(document.querySelector('.picture svg')).filter") == (
        "none" if scheme == "light" else "invert(1) hue-rotate(180deg)"
    )


def test_sorting_by_keyboard(browser: Browser, shown: Path) -> None:
    browser.look(1600)
    browser.open(shown)
    head = f"{TABLE}.tHead.rows[0].cells[1]"
    before = browser.value(f"{TABLE}.innerText")
    told = []
    for state, sign in (("ascending", 1), ("descending", -1)):
        focus(browser, f"{head}.querySelector('button')")
        browser.press("Enter", "\r")
        assert browser.value(f"{head}.ariaSort") == state
        assert browser.value(f"[...{TABLE}.tHead.rows[0].cells].filter(c => c.ariaSort === '{state}').length") == 1
        times = [time_ns(text) for text in browser.value(f"{FIRST_CELL}.map(row => row.cells[1].textContent)")]
        assert times == sorted(times, reverse=sign < 0) and len(times) == 5
        firsts = browser.value(f"[...{TABLE}.tBodies].map(body => body.rows[1].cells[1].textContent)")
        assert [time_ns(t) for t in firsts] == sorted(map(time_ns, firsts), reverse=sign < 0)
        told.append(firsts)
    assert told[0] != told[1] and len(told[0]) == 12
    browser.press("Enter", "\r")
    assert browser.value(f"{head}.ariaSort") == "none" and browser.value(f"{TABLE}.innerText") == before


def time_ns(text: str) -> float:
    """The time at the head of "612 [601, 630] ns"."""
    units = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}
    return float(text.split()[0]) * units[text.split()[-1]]


def test_remarks_stay_under_their_rows(browser: Browser, shown: Path) -> None:
    browser.look(1600)
    browser.open(shown)
    pairs = (
        "[...document.querySelectorAll('tr.why')]"
        ".map(row => row.previousElementSibling.innerText + '|' + row.innerText).sort()"
    )
    row = f"{FIRST_CELL}[0]"
    browser.value(f"{row}.insertAdjacentHTML('afterend', '<tr class=why><td>because</td></tr>')")
    before = browser.value(pairs)
    assert before and before[0].endswith("|because")
    browser.value("document.querySelectorAll('#s1 thead button')[1].click()")
    assert browser.value(pairs) == before


def test_filtering(browser: Browser, shown: Path) -> None:
    browser.look(400)
    browser.open(shown)
    focus(browser, "document.querySelector('#s1 input')")
    everything = browser.value(f"{TABLE}.innerText")
    browser.write("64KiB  POPULATED")
    rows = browser.value(
        f"[...{TABLE}.tBodies].filter(b => b.getClientRects().length)"
        ".map(b => [...b.rows].filter(r => r.getClientRects().length).map(r => r.innerText))"
    )
    assert len(rows) == 4
    for title, *arms in rows:
        assert "64KiB" in title and len(arms) == 1 and "populated" in arms[0]
    assert browser.value("document.querySelector('#s1 output').innerText") == "4 of 60 rows"
    assert browser.value("document.querySelector('#s1 input').labels[0].innerText").strip() == "Rows with"
    assert browser.value(LAYOUT) == []
    browser.value("(i => (i.value = '', i.dispatchEvent(new Event('input'))))(document.querySelector('#s1 input'))")
    assert browser.value(f"{TABLE}.innerText") == everything
    assert browser.value("document.querySelector('#s1 output').innerText") == ""
    assert browser.said == []


def test_without_script(browser: Browser, shown: Path) -> None:
    browser.look(1600)
    browser.open(shown)
    with_script = browser.value("document.querySelector('main').innerText")
    browser.look(1600, script=False)
    browser.open(shown)
    browser.look(1600)
    assert browser.value("document.querySelectorAll('button, input, output').length") == 0
    without = browser.value("document.querySelector('main').innerText")
    bare = [line.strip() for line in with_script.replace("Rows with", "").splitlines() if line.strip()]
    assert bare == [line.strip() for line in without.splitlines() if line.strip()]


def test_printing(browser: Browser, shown: Path) -> None:
    browser.look(718, "dark")  # A4 within its margins, at 96 dots an inch
    browser.open(shown)
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.value(LAYOUT) == []
    assert browser.value("getComputedStyle(document.querySelector('.picture svg')).filter") == "none"
    assert browser.value("getComputedStyle(document.querySelector('.filter')).display") == "none"
    pdf = browser.pdf()
    browser.call("Emulation.setEmulatedMedia", media="")
    assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 4


def test_hostile_texts_do_nothing(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(hostile_page(tmp_path / "r"), encoding="utf-8")
    for width in (400, 1600):
        browser.look(width)
        browser.open(path)
        assert browser.value(LAYOUT) == [] and browser.said == [] and browser.asked == [path.as_uri()]
    assert browser.value("document.querySelectorAll('img').length") == 0
    assert "onerror=alert(2)" in browser.value("document.title")


def test_faults_of_a_page_are_found(browser: Browser, tmp_path: Path) -> None:
    """What the tests above rest on: a bad page is told from a good one."""
    path = tmp_path / "bad.html"
    path.write_text(
        "<!DOCTYPE html><meta name=viewport content='width=device-width'><style>p { margin: 0 }</style>"
        "<main><p style='width: 900px; font-size: 9px'>wide</p>"
        "<p style='margin-top: -20px'>upon it</p><figure><svg width=0 height=0></svg></figure></main>"
        "<script>console.error('oh'); fetch('http://127.0.0.1:9/'); null.x</script>"
    )
    browser.look(400)
    browser.open(path)
    wrong = " ".join(browser.value(LAYOUT))
    for words in ("the page is", "sticks out", "lies on", "no size", "tiny"):
        assert words in wrong, words
    assert "oh" in browser.said and any("TypeError" in text for text in browser.said)
    assert "http://127.0.0.1:9/" in browser.asked
