# SPDX-License-Identifier: MIT
"""A headless Chromium that opens a page as its reader would, driven through the two pipes that it offers for that (the
DevTools protocol: messages of JSON, each ended by a 0 byte).

As a program: python3 tests/python/browser.py PAGE.html PREFIX writes PREFIX-WIDTH-SCHEME.png and PREFIX.pdf.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
LIFE_S = 120  # after which `timeout` ends it, whatever happened
WAIT_S = 30  # for an answer
OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # root has to do without, and so do most containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)

# What is wrong with the page as it is laid out now: what sticks out, lies on something else, or is not there.
LAYOUT = r"""(() => {
  const wrong = [], name = (e) => `<${e.tagName.toLowerCase()}> ${(e.textContent || "").trim().slice(0, 40)}`;
  const width = document.documentElement.clientWidth;
  const needed = document.documentElement.scrollWidth;
  if (needed > width) wrong.push(`the page is ${needed} wide, not ${width}`);
  const box = (e) => e.getBoundingClientRect(), there = (b) => b.width > 0 && b.height > 0;
  for (const e of document.querySelectorAll("body *:not(svg *)"))
    if (!e.closest(".scroll > *, .picture > *") && there(box(e)) && (box(e).right > width + 1 || box(e).left < -1))
      wrong.push(`sticks out: ${name(e)}`);
  for (const parent of document.querySelectorAll("body, header, main, section, figure, tr, thead, tbody, table, dl, p"))
    for (const [i, one] of [...parent.children].entries())
      for (const other of [...parent.children].slice(i + 1, i + 4)) {
        if (getComputedStyle(one).position == "sticky" || getComputedStyle(one).display.startsWith("inline")) continue;
        const a = box(one), b = box(other), by = (low, high) => Math.min(a[high], b[high]) - Math.max(a[low], b[low]);
        if (there(a) && there(b) && by("left", "right") > 1 && by("top", "bottom") > 1)
          wrong.push(`${name(one)} lies on ${name(other)}`);
      }
  const pictures = [...document.querySelectorAll("figure svg, figure img")];
  for (const e of pictures)
    if (!there(box(e)) || (e.tagName === "IMG" && !e.naturalWidth)) wrong.push("a picture has no size");
  const least = matchMedia("print").matches ? 10 : 12;
  for (const e of document.querySelectorAll("body :is(p, td, th, li, dd, dt, h1, h2, h3, label, code)"))
    if (there(box(e)) && parseFloat(getComputedStyle(e).fontSize) < least) wrong.push(`tiny: ${name(e)}`);
  return wrong;
})()"""


def program() -> str | None:
    """Where the browser is; None where it is not."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Browser:
    """One browser with one page, its profile in a folder of its own; to be used by `with`.

    said: what the page had to say on the console, and errors; asked: addresses of everything it loaded.
    """

    def __init__(self) -> None:
        self.home = tempfile.mkdtemp(prefix="faultline-browser-")
        self.numbers = itertools.count(1)
        self.rest = b""
        self.events: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.asked: list[str] = []
        self.session: str | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Browser":
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(self) -> None:
        """Starts it with its two pipes, and opens a page."""
        name = program()
        if name is None:
            raise FileNotFoundError(f"none of {', '.join(NAMES)} is here")
        theirs_in, self.write_end = os.pipe()
        self.read_end, theirs_out = os.pipe()
        words = ["timeout", "--kill-after=5", str(LIFE_S), name, *OPTIONS, f"--user-data-dir={self.home}"]
        # The browser wants its pipes as descriptors 3 and 4; high ones cannot be in the way of that.
        places = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", places, "browser", str(theirs_in), str(theirs_out), *words],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self.home, "XDG_CONFIG_HOME": self.home, "XDG_CACHE_HOME": self.home},
        )
        os.close(theirs_in)
        os.close(theirs_out)
        os.set_blocking(self.read_end, False)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def end(self) -> None:
        """Ends it and removes its profile."""
        if self.process is not None:
            os.close(self.write_end)
            os.close(self.read_end)
            self.process.terminate()  # `timeout` hands it on to all that it started
            self.process.wait(WAIT_S)
        for _ in range(50):  # its helpers end a moment later, and write until then
            shutil.rmtree(self.home, ignore_errors=True)
            if not os.path.exists(self.home):
                break
            time.sleep(0.1)

    def message(self) -> dict[str, Any]:
        """The next message from the browser; TimeoutError when none comes, EOFError when it has ended."""
        limit = time.monotonic() + WAIT_S
        while b"\0" not in self.rest:
            if time.monotonic() > limit:
                raise TimeoutError("the browser does not answer")
            try:
                more = os.read(self.read_end, 1 << 20)
            except BlockingIOError:
                time.sleep(0.005)
                continue
            if not more:
                raise EOFError("the browser has ended")
            self.rest += more
        first, _, self.rest = self.rest.partition(b"\0")
        found: dict[str, Any] = json.loads(first)
        self.note(found)
        return found

    def note(self, found: dict[str, Any]) -> None:
        """Keeps what an event says of errors and of loading."""
        method, told = found.get("method"), found.get("params", {})
        self.events += [found] if method else []
        if method == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.said.append(" ".join(str(one.get("value")) for one in told["args"]))
        elif method == "Runtime.exceptionThrown":
            self.said.append(str(told["exceptionDetails"].get("exception", {}).get("description")))
        elif method == "Log.entryAdded":
            self.said.append(told["entry"]["text"])

    def call(self, name: str, **told: Any) -> dict[str, Any]:
        """Calls a method and returns its result; RuntimeError when the browser refuses."""
        number = next(self.numbers)
        request: dict[str, Any] = {"id": number, "method": name, "params": told}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.write_end, json.dumps(request).encode() + b"\0")
        while (answer := self.message()).get("id") != number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{name}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, path: Path) -> None:
        """Loads a file; what was said and asked before is forgotten."""
        self.events.clear()
        self.said.clear()
        self.asked.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.message()

    def look(self, width: int, scheme: str = "light", script: bool = True) -> None:
        """Shows pages this many pixels wide, in the light or in the dark; scripts are kept from pages opened later."""
        window = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **window)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is in the page; RuntimeError when it throws."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        """Presses and releases a key."""
        code = {"Enter": 13, "Tab": 9}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            told: dict[str, Any] = {"type": kind, "key": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", **told, **({"text": text} if text and kind == "keyDown" else {}))

    def write(self, text: str) -> None:
        """Types a text where the focus is."""
        self.call("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """Writes the whole page as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip={**size, "scale": 1})
        path.write_bytes(base64.b64decode(found["data"]))

    def pdf(self) -> bytes:
        """The page as it is printed, A4."""
        data = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True)["data"]
        return base64.b64decode(data)


def main() -> int:
    page, prefix = Path(sys.argv[1]), sys.argv[2]
    with Browser() as browser:
        for width, scheme in itertools.product((400, 1600), ("light", "dark")):
            browser.look(width, scheme)
            browser.open(page)
            browser.picture(Path(f"{prefix}-{width}-{scheme}.png"))
            print(width, scheme, browser.value(LAYOUT), browser.said, len(browser.asked))
        Path(f"{prefix}.pdf").write_bytes(browser.pdf())
    return 0


if __name__ == "__main__":
    sys.exit(main())
