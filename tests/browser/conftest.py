"""A real browser: Chromium by playwright, and JupyterLab on the loopback interface. Where one of them is missing the tests are skipped.

Everything is in temporary folders: Lab's configuration, its signatures, the notebooks. What a kernel trains is kept in the tests' own cache.
"""

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "tests" / "browser" / "pictures"
"""Screenshots of the last run, to look at; git ignores them."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = f"{sys.executable} -m playwright install chromium"
CUT = """part => {
  const [own, place] = [part, part.closest('.jp-OutputArea-output')].map(one => one.getBoundingClientRect());
  return own.bottom > place.bottom || own.right > place.right + 1;
}"""
FLAGS = (
    "--no-sandbox",  # as root, which containers are
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
"""The picture of the link in the first cell of a page, the one thing that a page asks for from outside."""
HERE = re.compile(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|(file|data|blob|about):")
READY = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.sessionContext, kernel = context?.session?.kernel;
  return context?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
"""The word "Idle" is on the screen before there is a session, and what is asked of it then is dropped."""
CELLS = """() => [...jupyterapp.shell.currentWidget.content.model.cells].filter(cell => cell.type === 'code').map(cell => ({
  count: cell.executionCount,
  errors: Array.from({length: cell.outputs.length}, (_, at) => cell.outputs.get(at).toJSON()).filter(out => out.output_type === 'error'),
}))"""
CONTROLS, MESSAGE = ".widget-vbox > .widget-box .widget-inline-hbox", ".widget-vbox > .widget-html > .widget-html-content"
WIDER = """() => [document.documentElement, ...document.querySelectorAll('.jp-WindowedPanel-outer, .jp-OutputArea-output, main')]
  .filter(part => part.scrollWidth > part.clientWidth + 1 && part.clientWidth)
  .map(part => `${part.tagName}.${part.className}: ${part.scrollWidth} in ${part.clientWidth}: ${part.textContent.slice(0, 60)}`)"""


def pytest_terminal_summary(terminalreporter):
    if any(PICTURES.glob("*.png")):
        terminalreporter.write_line(f"screenshots of the browser tests: {PICTURES}")


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium: one on the PATH, else playwright's own."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright here: `make test-browser` installs it")
    with api.sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)), None) or playwright.chromium.executable_path
        if not Path(path).is_file():
            pytest.skip(f"no Chromium here, so nothing is tried in a browser; this installs one: {INSTALL}")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def watched(chromium, name: str):
    """A page of 1280 pixels' width, which must ask for nothing from outside and raise no error; its last look is kept."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page, asked, errors = context.new_page(), [], []
    page.set_default_timeout(120_000)
    context.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        yield page
    finally:
        page.screenshot(path=PICTURES / f"{re.sub(r'[^a-z0-9]+', '_', name)}.end.png")
        context.close()
    assert asked or page.url == "about:blank"
    assert [url for url in asked if not HERE.match(url) and url != BADGE] == []
    assert errors == []


@pytest.fixture
def page(chromium, request):
    with watched(chromium, request.node.name) as page:
        yield page


class Lab:
    """JupyterLab with a token, on a port of its own, serving a folder."""

    def __init__(self, home: Path):
        self.folder, self.token = home / "notebooks", os.urandom(16).hex()
        self.env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
        for name in ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME", "JUPYTERLAB_SETTINGS", "JUPYTERLAB_WORKSPACES", "IPYTHON"):
            folder = home / name.lower()
            folder.mkdir()
            self.env["IPYTHONDIR" if name == "IPYTHON" else f"{name}_DIR"] = str(folder)
        self.folder.mkdir()
        quiet = home / "jupyterlab_settings" / "@jupyterlab" / "apputils-extension"
        quiet.mkdir(parents=True)
        (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = home / "lab.log"

    @contextmanager
    def running(self):
        options = (
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={self.port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.folder}",
            "--expose-app-in-browser",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        )
        with self.log.open("w") as log:
            process = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=self.env, cwd=self.folder, stdout=log, stderr=log)
        try:
            self._wait(process)
            yield self
        finally:
            process.terminate()  # which ends its kernels
            process.wait(60)

    def _wait(self, process: subprocess.Popen, seconds: int = 120) -> None:
        until = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < until:
            try:
                self.ask("GET", "api/status")
                return
            except OSError:
                time.sleep(0.2)
        pytest.fail(f"JupyterLab did not start:\n{self.log.read_text()}")

    def ask(self, method: str, path: str) -> bytes:
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", method=method, headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.read()

    def put(self, notebook, name: str) -> None:
        """Write a notebook into the folder, trusted, as one is that was run here."""
        notary = nbformat.sign.NotebookNotary(data_dir=self.env["JUPYTER_DATA_DIR"])
        nbformat.write(notebook, self.folder / name)
        notary.sign(nbformat.read(self.folder / name, as_version=4))
        notary.store.close()

    def end_kernels(self) -> None:
        for session in json.loads(self.ask("GET", "api/sessions")):
            self.ask("DELETE", f"api/sessions/{session['id']}")


@pytest.fixture(scope="module")
def lab(chromium, tmp_path_factory):
    pytest.importorskip("jupyterlab")
    with Lab(tmp_path_factory.mktemp("lab")).running() as lab:
        yield lab


class Opened:
    """A notebook that is open in Lab."""

    def __init__(self, page, lab: Lab, name: str):
        self.page, self.lab, self.address = page, lab, f"http://127.0.0.1:{lab.port}/lab/tree/{name}?token={lab.token}&reset"
        self.open()

    def open(self) -> None:
        self.page.goto(self.address)
        self.page.wait_for_function(READY)

    def open_without_its_kernel(self) -> None:
        """Save, end the kernel, and open what was saved: there is another kernel, which knows nothing of the live parts."""
        self.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
        self.lab.end_kernels()
        self.page.goto("about:blank")
        self.open()

    def run_all(self, seconds: int = 600) -> None:
        """Run all cells and wait for the last; no cell may end in an error."""
        self.page.evaluate("() => { window.done = 0; jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.done = 1; }); }")
        self.page.wait_for_function("() => window.done", timeout=1000 * seconds)
        assert self.errors() == []
        assert all(cell["count"] for cell in self.page.evaluate(CELLS))

    def live(self) -> list["Live"]:
        """The live parts, from the top."""
        controls = self.page.locator(".jp-OutputArea-child:has(> .jp-OutputArea-output .widget-vbox)")
        return [Live(self.page, controls.nth(at)) for at in range(controls.count())]

    def errors(self) -> list[dict]:
        return [error for cell in self.page.evaluate(CELLS) for error in cell["errors"]]

    def wider_than_its_place(self) -> list[str]:
        return self.page.evaluate(WIDER)

    def above(self, place):
        return above(place).first

    def is_cut(self, place) -> bool:
        """Whether something is drawn beyond the end of its output, where Lab does not show it."""
        return place.evaluate(CUT)

    def picture(self, name: str) -> None:
        self.page.screenshot(path=PICTURES / f"{name}.png")


def step(box):
    """Change the value of one control a little, by keys; returns what takes that back."""
    handle, menu, field = box.locator(".noUi-handle").first, box.locator("select"), box.locator("input, textarea")
    if handle.count():
        low, high, now = (float(handle.get_attribute(f"aria-value{name}")) for name in ("min", "max", "now"))
        there, back = ("ArrowLeft", "ArrowRight") if now > (low + high) / 2 else ("ArrowRight", "ArrowLeft")
        handle.press(there)
        return lambda: handle.press(back)
    if menu.count():
        at = menu.evaluate("menu => menu.selectedIndex")
        menu.select_option(index=at - 1 if at else 1)
        return lambda: menu.select_option(index=at)
    old, many = field.input_value(), field.evaluate("field => field.tagName") == "TEXTAREA"
    number = field.get_attribute("type") == "number"
    put(field, old + "def added(n):\n    return n\n" if many else str(int(old) + 1) if number else old + " (")
    return lambda: put(field, old)


def type_over(field, text: str) -> None:
    """Type a text in the place of what is there, key by key: a field for numbers takes some of them only."""
    field.click()
    field.page.keyboard.press("Control+a")
    field.page.keyboard.press("Delete")
    field.page.keyboard.type(text)
    field.page.keyboard.press("Enter")


def put(field, text: str) -> None:
    field.fill(text)
    if field.evaluate("field => field.tagName") == "INPUT":
        field.press("Enter")


def above(place):
    """The output before the one that something stands in."""
    output = place.locator("xpath=ancestor-or-self::*[contains(@class, 'jp-OutputArea-child')][1]")
    return output.locator("xpath=preceding-sibling::*[1]").locator(".jp-OutputArea-output")


class Live:
    """A drawing and the controls under it."""

    def __init__(self, page, controls):
        self.page, self.controls = page, controls
        self.drawing = above(controls)

    def field(self, label: str):
        """What is typed into, by the words before it."""
        return self._box(label).locator("input, textarea")

    def number(self, label: str):
        """The number beside a slider, which is typed into as well."""
        return self._box(label).locator(".widget-readout")

    def _box(self, label: str):
        return self.controls.locator(f"{CONTROLS}:has(> .widget-label:text-is('{label}'))")

    def put(self, label: str, text: str) -> None:
        put(self.field(label), text)

    def type_over(self, label: str, text: str) -> None:
        """Type into the field of this name, or beside the slider."""
        type_over(self.field(label) if self.field(label).count() else self.number(label), text)

    def message(self) -> str:
        return self.controls.locator(MESSAGE).text_content()

    def cuts_its_message(self) -> bool:
        return self.controls.locator(MESSAGE).evaluate("said => said.scrollWidth > said.clientWidth")

    def drawn(self) -> str:
        return self.drawing.first.inner_html() if self.drawing.count() else ""  # it is gone for a moment while it is drawn anew

    def answers(self, act, seconds: float = 30) -> float | None:
        """Do something and wait until another drawing or a message is there; seconds that this took, None if it never came."""
        self.drawing.first.wait_for()
        said, before, began = self.message(), self.drawn(), time.monotonic()
        act()
        while time.monotonic() < began + seconds:
            if self.message() != said or self.drawn() not in (before, ""):
                return time.monotonic() - began
            time.sleep(0.01)
        return None

    def use_all(self) -> list[tuple[str, float]]:
        """Change every control, one after the other: its words, and the seconds until something was drawn or said."""
        boxes = self.controls.locator(f"{CONTROLS}:has(> .widget-label)")
        return [(box.locator(".widget-label").text_content(), self._use(box)) for box in map(boxes.nth, range(boxes.count()))]

    def _use(self, box) -> float:
        """A slider's step may be none of what is drawn, so there are some. What is refused is taken back.

        Where another control's value is refused, as a start may be on a short text, the same is said again: NaN.
        """
        undo, said = [], self.message()
        for _ in range(5):
            if seconds := self.answers(lambda: undo.append(step(box)), 3 if said else 30):
                if self.message() not in ("", said):
                    assert self.answers(undo[-1])
                return seconds
        assert said, f"nothing was drawn anew: {box.text_content()!r}"
        return math.nan

    def says(self, text: str) -> None:
        """Wait until the message under the controls begins with a text, or is none."""
        pattern = re.compile("^" + re.escape(text) if text else "^$")
        self.controls.locator(MESSAGE, has_text=pattern).wait_for(state="attached")


@pytest.fixture
def opened(page, lab):
    """Opens a notebook of the lab's folder."""
    return lambda name: Opened(page, lab, name)


@pytest.fixture(scope="module")
def small(chromium, lab, request):
    """The notebook that a test module keeps as SMALL, in cells, after a run of all of them."""
    cells = map(nbformat.v4.new_code_cell, request.module.SMALL.split("---\n"))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}  # else Lab asks which
    lab.put(nbformat.v4.new_notebook(cells=[*cells], metadata=kernel), "small.ipynb")
    with watched(chromium, "small") as page:
        notebook = Opened(page, lab, "small.ipynb")
        notebook.run_all()
        yield notebook


@pytest.fixture(autouse=True, scope="session")
def pictures():
    PICTURES.mkdir(exist_ok=True)
    return PICTURES
