# SPDX-License-Identifier: MIT
"""The page of a run, as a browser shows it."""

import sys

import helper

sys.path.insert(0, str(helper.TREE / "tests" / "python"))

import browser  # noqa: E402


def test_page_of_a_run(scratch: helper.Scratch) -> None:
    """It loads nothing, complains of nothing, shows all its pictures, and nothing sticks out or lies on another."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not beside the program")
    if browser.program() is None:
        raise helper.Skip("no Chromium is here")
    result = scratch.call([word for word in scratch.run_words() if word != "--no-report"])
    assert result.returncode in (0, 4), result.stderr  # so short a run may find its null arms to differ
    page = scratch.out / "report.html"
    pictures = len(list((scratch.out / "plots").glob("*.svg")))
    with browser.Browser() as one:
        for width in (400, 1600):
            for scheme in ("light", "dark"):
                one.look(width, scheme)
                one.open(page)
                assert one.value(browser.LAYOUT) == [] and one.said == [] and one.asked == [page.as_uri()]
                assert one.value("document.querySelectorAll('figure svg').length") == pictures > 0
        command = one.value("document.querySelector('pre').innerText")
    assert command.startswith("faultline run ") and command.endswith(" --seed 7"), command


helper.main(globals())
