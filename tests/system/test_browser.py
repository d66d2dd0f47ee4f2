"""The viewer in a real browser: in a real TensorBoard, and as a page of its own.

Needs Chromium, chromedriver and selenium; without them the tests are skipped. Nothing is ever
downloaded. Screenshots go to test-artefacts/.
"""

import json
import os
import pathlib
import re
import shutil
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest

import dnc
from dnc_inspector import page
from dnc_trace import episode
from dnc_trace.quantities import QUANTITIES
from tests import served
from tests.traces import make_trace, write_blobs

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    # Where it was promised (make test CI=1), a browser that is missing is a failure.
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER) and "CI" not in os.environ,
        reason="Chromium or chromedriver is not installed",
    ),
]

ARTEFACTS = pathlib.Path(page.__file__).parents[1] / "test-artefacts"
PATIENCE = 300  # Seconds until something that should appear does not: far more than it takes.

TAG = "eval/episode"
# Without quotes: TensorBoard's fast reader finds no data of a tag that has one in its name.
HOSTILE = "<img src=x onerror=parent.hacked=hacked=1>"
HOSTILE_RUN = "<script>hacked=1<script>"


def diagonal_trace(seed=0, hostile=False, extras=False, **sizes):
    """An episode that writes one slot after the other, and reads each at the next step."""
    sizes = {"T": 12, "B": 2, "N": 10, "W": 8, "Y": 3, "Z": 3, **sizes}
    arrays, meta = make_trace(seed, extras=extras, **sizes)
    arrays["sequence_length"] = np.array([sizes["T"], sizes["T"] - 5])
    for name, delay in (("write_weights", 0), ("read_weights", 1)):
        arrays[name] *= 0.02
        for t in range(delay, sizes["T"]):
            arrays[name][t, :, :, (3 * (t - delay)) % sizes["N"]] = 0.95
    arrays["target"] = (arrays["target"] > 0.5).astype(np.float32)
    arrays["outputs"] = (arrays["target"] - 0.4) * 8
    if hostile:
        meta["task"] = HOSTILE
        meta["tokens"] = [[HOSTILE] * sizes["T"]] * 2
    return arrays, meta


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Runs of several steps, one with hostile names, and those that cannot be shown."""
    folder = tmp_path_factory.mktemp("logs")
    for step in (10, 20, 30):
        write_blobs(folder / "copy", episode.encode(*diagonal_trace(seed=step)), TAG, [step])
    write_blobs(folder / "growing", episode.encode(*diagonal_trace()), TAG, [10])
    hostile = episode.encode(*diagonal_trace(seed=1, hostile=True))
    write_blobs(folder / HOSTILE_RUN, hostile, HOSTILE, [5])
    header, *examples = episode.encode(*diagonal_trace())
    write_blobs(folder / "damaged", [header, *(blob[:40] for blob in examples)], TAG, [1])
    newer = header.replace(b'"version": 1', b'"version": 2')
    write_blobs(folder / "newer", [newer, *examples], TAG, [1])
    return folder


@pytest.fixture(
    scope="module",
    params=[["--load_fast=auto"], ["--load_fast=false", "--path_prefix=/deep/er"]],
    ids=["fast", "slow-with-prefix"],
)
def tensorboard(request, logs, tmp_path_factory):
    """The address of a real TensorBoard that has read the logs."""
    folder = tmp_path_factory.mktemp("installed")
    with served.tensorboard(
        logs, folder, *request.param, has_read=lambda address: len(runs_at(address)) == 5
    ) as address:
        yield address


def runs_at(address):
    with urllib.request.urlopen(f"{address}/data/plugin/dnc_memory/index") as response:
        return json.load(response)["runs"]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(PATIENCE)
    yield driver
    driver.quit()


class Viewer:
    """The actions of a user, and the sight of their results."""

    def __init__(self, driver):
        self.driver = driver
        for kind in ("browser", "performance"):
            driver.get_log(kind)  # What other tests left.
        self.resize(1280, 900)

    def resize(self, width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def open_plugin(self, address, query="", **chosen):
        """Opens the plugin's tab, with parts of its state in the address."""
        parts = [f"p.dnc_memory.{name}={urllib.parse.quote(str(v))}" for name, v in chosen.items()]
        self.driver.get("about:blank")
        self.driver.get(f"{address}/{query}#{'&'.join(['dnc_memory', *parts])}")
        self.until(lambda: self.frame() is not None)
        self.driver.switch_to.frame(self.frame())
        self.until(lambda: self.ready)
        return self

    def open_page(self, path, hash=""):
        self.driver.get("about:blank")
        self.driver.get(f"{path.as_uri()}#{hash}")
        self.until(lambda: self.ready)
        return self

    def frame(self):
        frames = self.driver.find_elements(By.TAG_NAME, "iframe")
        return next((frame for frame in frames if frame.is_displayed()), None)

    @property
    def ready(self):
        """Run, tag, training step and time step that are on the screen."""
        return self.driver.execute_script("return document.body.dataset.ready")

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"nothing comes after {self.ready!r}"
            time.sleep(0.03)

    def until_text(self, selector, text):
        """Waits until an element has this text."""
        self.until(lambda: self.text(selector) == text)

    def shows(self, run="copy", tag=TAG, step=30, t=0):
        self.until(lambda: self.ready == f"{run}|{tag}|{step}|{t}")

    def element(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def button(self, text):
        return self.driver.find_element(By.XPATH, f"//button[normalize-space()='{text}']")

    def select(self, label, nth=0):
        path = f"//label[span[normalize-space()='{label}']]/select"
        return Select(self.driver.find_elements(By.XPATH, path)[nth])

    def press(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def text(self, selector):
        return self.element(selector).text

    def point(self, selector, x, y):
        """Moves the pointer to a place on a canvas, from its top left corner."""
        canvas = self.element(selector)
        size = canvas.size
        actions = webdriver.ActionChains(self.driver)
        offset = (int(x - size["width"] / 2), int(y - size["height"] / 2))
        return actions.move_to_element_with_offset(canvas, *offset)

    def colours(self, selector):
        return self.driver.execute_script(
            "const canvas = document.querySelector(arguments[0]);"
            "const {width, height} = canvas;"
            "const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);"
            "return new Set(new Uint32Array(data.buffer)).size;",
            selector,
        )

    def save_picture(self, folder):
        """Saves the picture as a user does."""
        downloads = {"behavior": "allow", "downloadPath": str(folder)}
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
        self.button("Save PNG").click()
        self.until(lambda: list(folder.glob("*.png")))

    def is_wide_enough(self):
        """Whether all of the document is seen without scrolling to the right."""
        return self.driver.execute_script(
            "const {scrollWidth, clientWidth} = document.documentElement;"
            "return scrollWidth === clientWidth;"
        )

    def save_screenshot(self, name):
        ARTEFACTS.mkdir(exist_ok=True)
        self.driver.save_screenshot(str(ARTEFACTS / f"{name}.png"))

    def errors(self):
        """Returns severe messages of the console, but for TensorBoard's fonts below a prefix."""
        entries = self.driver.get_log("browser")
        severe = [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
        return [message for message in severe if "font-roboto" not in message]

    def hosts(self):
        """The hosts that anything was asked from."""
        messages = [
            json.loads(each["message"])["message"] for each in self.driver.get_log("performance")
        ]
        urls = [
            urllib.parse.urlsplit(message["params"]["request"]["url"])
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return {url.netloc for url in urls if url.scheme in ("http", "https", "ws", "wss")}


@pytest.fixture
def viewer(driver):
    return Viewer(driver)


def test_tensorboard_lists_the_tab_and_shows_the_newest_step(tensorboard, viewer):
    viewer.open_plugin(tensorboard, run="copy")
    viewer.shows(step=30)

    assert viewer.colours(".timeline") > 50
    assert viewer.colours(".details") > 50
    assert "training step 30" in viewer.text("h2")
    viewer.driver.switch_to.default_content()
    tabs = [each.text for each in viewer.driver.find_elements(By.CSS_SELECTOR, "[role=tab]")]
    assert "DNC MEMORY" in [tab.upper() for tab in tabs]
    assert viewer.errors() == []
    assert viewer.hosts() == {urllib.parse.urlsplit(tensorboard).netloc}


def test_time(tensorboard, viewer):
    viewer.open_plugin(tensorboard, run="copy")
    viewer.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    viewer.shows(t=1)
    viewer.press(Keys.END)
    viewer.shows(t=11)
    viewer.press(Keys.ARROW_RIGHT)
    viewer.shows(t=11)
    viewer.press(Keys.HOME)
    viewer.shows(t=0)
    slider = viewer.element("input[type=range]")
    slider.send_keys(Keys.ARROW_RIGHT * 3)
    viewer.shows(t=3)

    viewer.select("Speed").select_by_visible_text("25 steps/s")
    viewer.element("button[aria-label=Play]").click()
    viewer.shows(t=11)
    viewer.until(lambda: viewer.element("button[aria-label=Play]"))

    canvas = viewer.element(".timeline")
    viewer.point(".timeline", canvas.size["width"] - 15, 60).click().perform()
    viewer.shows(t=11)
    viewer.point(".timeline", 145, 60).click().perform()
    viewer.shows(t=0)
    drag = viewer.point(".timeline", 145, 60).click_and_hold()
    drag.move_by_offset(200, 0).release().perform()
    viewer.until(lambda: int(viewer.ready.split("|")[-1]) > 2)
    assert viewer.errors() == []


def test_a_slot_and_its_history(tensorboard, viewer):
    viewer.open_plugin(tensorboard, run="copy", t=4)
    details = viewer.element(".details")
    details.send_keys(Keys.ARROW_DOWN)
    viewer.until_text(".slot-panel h3", "Slot 0")  # Written first.
    details.send_keys(Keys.ARROW_DOWN)
    viewer.until_text(".slot-panel h3", "Slot 3")
    assert "written" in viewer.text(".slot-panel ol")
    viewer.select("Slots by").select_by_visible_text("index")
    details.send_keys(Keys.ARROW_DOWN)
    viewer.until_text(".slot-panel h3", "Slot 4")

    entry = viewer.element(".slot-panel li button")
    step = int(re.search(r"\d+", entry.text)[0])
    entry.click()
    viewer.shows(t=step)
    viewer.press(Keys.ESCAPE)
    viewer.until(lambda: not viewer.element(".slot-panel").is_displayed())

    # The middle of the memory, wherever it is: a click shows a slot, another one hides it.
    x, y = details.size["width"] * 0.4, details.size["height"] * 0.6
    viewer.point(".details", x, y).click().perform()
    viewer.until(lambda: re.fullmatch(r"Slot \d", viewer.text(".slot-panel h3")))
    viewer.until(lambda: re.search(r"slot \d", viewer.text(".tooltip")))
    viewer.point(".details", x, y).click().perform()
    viewer.until(lambda: not viewer.element(".slot-panel").is_displayed())

    viewer.element("input[type=checkbox]").click()
    assert viewer.errors() == []


def test_dark_mode_follows_tensorboard(tensorboard, viewer):
    def background():
        return viewer.element("body").value_of_css_property("background-color")

    viewer.open_plugin(tensorboard, query="?darkMode=true", run="copy")
    dark = background()
    viewer.save_screenshot("plugin-dark")
    viewer.driver.execute_script("parent.document.body.classList.remove('dark-mode')")
    viewer.until(lambda: background() != dark)
    viewer.until(lambda: background() == "rgba(255, 255, 255, 1)")
    assert viewer.errors() == []


def test_runs_steps_examples_and_comparison(tensorboard, viewer):
    viewer.open_plugin(tensorboard, run="copy", t=9)
    viewer.select("Training step").select_by_visible_text("20")
    viewer.shows(step=20, t=9)
    viewer.select("Example").select_by_visible_text("1")
    viewer.shows(step=20, t=6)  # It has seven steps.
    viewer.select("Example").select_by_visible_text("0")

    viewer.button("Compare").click()
    viewer.until(
        lambda: len(viewer.driver.find_elements(By.CSS_SELECTOR, ".pane:not([hidden])")) == 2
    )
    viewer.select("Training step", nth=1).select_by_visible_text("30")
    viewer.until(lambda: "training step 30" in viewer.text(".pane:nth-child(2) h2"))
    viewer.until(lambda: "Not the same episode" in viewer.text(".notice"))
    for width in (1280, 1920):
        viewer.resize(width, 1000)
        viewer.save_screenshot(f"plugin-comparison-{width}")
    viewer.button("Stop comparing").click()
    viewer.until(
        lambda: len(viewer.driver.find_elements(By.CSS_SELECTOR, ".pane:not([hidden])")) == 1
    )
    assert viewer.errors() == []


def test_names_from_data_are_shown_as_text(tensorboard, viewer):
    viewer.open_plugin(tensorboard, run=HOSTILE_RUN, t=3)
    viewer.shows(HOSTILE_RUN, HOSTILE, 5, 3)
    viewer.point(".timeline", 200, 60).perform()
    viewer.until(lambda: viewer.element(".tooltip").is_displayed())

    assert HOSTILE in viewer.text(".tooltip")
    assert HOSTILE in viewer.text("h2")
    assert HOSTILE_RUN in viewer.text("h2")
    assert viewer.driver.find_elements(By.TAG_NAME, "img") == []
    assert viewer.driver.execute_script("return window.hacked ?? parent.hacked ?? 0") == 0
    assert viewer.errors() == []


@pytest.mark.parametrize("run", ["damaged", "newer"])
def test_a_run_that_cannot_be_shown_says_so_and_others_can(tensorboard, viewer, run):
    viewer.open_plugin(tensorboard, run=run)
    viewer.until(lambda: viewer.text(".pane .trouble"))
    message = viewer.text(".pane .trouble")
    assert f"run {run}, tag {TAG}, training step 1" in message
    assert "version" in message or "damaged" in message

    viewer.select("Run").select_by_visible_text("copy")
    viewer.shows(step=30)
    assert viewer.element(".timeline").is_displayed()


def test_new_steps_are_followed_and_the_rest_is_kept(tensorboard, viewer, logs):
    def newest():
        return max(record["step"] for record in runs_at(tensorboard)["growing"][TAG])

    def grow():
        step = newest() + 10
        time.sleep(1.1)  # Event files are read in the order of the seconds in their names.
        write_blobs(logs / "growing", episode.encode(*diagonal_trace(seed=step)), TAG, [step])
        viewer.until(lambda: newest() == step)
        return step

    viewer.open_plugin(tensorboard, run="growing", t=7, order="usage")
    viewer.shows("growing", step=newest(), t=7)
    step = grow()
    viewer.button("Refresh").click()
    viewer.shows("growing", step=step, t=7)

    step = grow()
    viewer.driver.switch_to.default_content()
    viewer.element(".reload-button").click()  # TensorBoard's own.
    viewer.driver.switch_to.frame(viewer.frame())
    viewer.shows("growing", step=step, t=7)

    viewer.driver.switch_to.default_content()
    viewer.until(lambda: "order=usage" in viewer.driver.current_url)
    viewer.driver.refresh()
    viewer.until(lambda: viewer.frame() is not None)
    viewer.driver.switch_to.frame(viewer.frame())
    viewer.shows("growing", step=step, t=7)
    assert viewer.select("Slots by").first_selected_option.text == "usage"
    assert viewer.errors() == []


@pytest.mark.parametrize("width", [900, 1280, 1920])
def test_nothing_is_cut_off(tensorboard, viewer, width):
    viewer.resize(width, 1000)
    viewer.open_plugin(tensorboard, run="copy", t=5, slot=3)
    viewer.save_screenshot(f"plugin-{width}")

    assert viewer.is_wide_enough()


def test_without_episodes_it_says_what_to_do(tmp_path, viewer):
    empty = page.render({}, title="empty")
    (tmp_path / "page.html").write_text(empty, encoding="utf-8")
    viewer.open_page(tmp_path / "page.html")

    assert viewer.ready == "empty"
    assert "No episode" in viewer.text(".message")


def test_the_page_of_its_own(tmp_path, viewer):
    path = tmp_path / "page.html"
    traces = {"first": diagonal_trace(seed=1), "second": diagonal_trace(seed=2, hostile=True)}
    path.write_text(page.render(traces, title="two"), encoding="utf-8")
    viewer.open_page(path, "run=first&t=3")
    viewer.shows("first", "copy", 0, 3)
    assert viewer.colours(".timeline") > 50

    viewer.press(Keys.ARROW_RIGHT)
    viewer.shows("first", "copy", 0, 4)
    viewer.until(lambda: "t=4" in viewer.driver.current_url)

    backgrounds = set()
    for name in ("◐ auto", "☀ light", "☾ dark"):
        backgrounds.add(viewer.element("body").value_of_css_property("background-color"))
        viewer.button(name).click()
    assert len(backgrounds) == 2

    viewer.select("Run").select_by_visible_text("second")
    viewer.until(lambda: viewer.ready.startswith("second|"))
    viewer.button("?").click()
    viewer.until(lambda: "diagonal" in viewer.text("dialog"))
    viewer.press(Keys.ESCAPE)
    viewer.save_screenshot("page")

    viewer.save_picture(tmp_path)
    assert viewer.driver.find_elements(By.TAG_NAME, "img") == []
    assert viewer.errors() == []
    assert viewer.hosts() == set()


def test_numbers_that_are_none_are_drawn(tmp_path, viewer):
    arrays, meta = diagonal_trace(extras=True)
    for name, array in arrays.items():
        if name != "sequence_length" and not (name in QUANTITIES and QUANTITIES[name].optional):
            array.flat[::5] = np.nan
            array.flat[1::7] = np.inf
    path = tmp_path / "page.html"
    path.write_text(page.render({"strange": (arrays, meta)}, title="strange"), encoding="utf-8")
    viewer.open_page(path, "t=4")
    viewer.shows("strange", "copy", 0, 4)

    assert viewer.colours(".details") > 20
    assert viewer.errors() == []


def test_extras_are_shown_without_being_known(tmp_path, viewer):
    arrays, meta = diagonal_trace(extras=True, W=4)
    path = tmp_path / "page.html"
    path.write_text(page.render({"own": (arrays, meta)}, title="own"), encoding="utf-8")
    viewer.open_page(path, "t=4&order=index")
    viewer.shows("own", "copy", 0, 4)
    viewer.save_screenshot("extras")
    lowest, highest = (f(arrays["temperature"][4, 0]) for f in (np.min, np.max))
    assert lowest == highest
    for canvas in (".timeline", ".details"):
        said = viewer.element(canvas).get_attribute("aria-label")
        assert f"temperature: {lowest:.3f}." in said
        assert "read masks: from " in said

    def tooltip_over(canvas, x, height):
        """Returns the tooltip somewhere in a column of a canvas, from `height` on downwards."""
        size = viewer.element(canvas).size
        for y in range(int(size["height"] * height), size["height"] - 2, 5):
            viewer.point(canvas, x, y).perform()
            yield viewer.text(".tooltip") if viewer.element(".tooltip").is_displayed() else ""

    left = viewer.element(".details").size["width"] * 0.35
    for canvas, x, height in ((".timeline", 200, 0.5), (".details", left, 0.5)):
        found = next(
            text for text in tooltip_over(canvas, x, height) if "read masks, read head" in text
        )
        assert re.search(r"^read masks, read head \d, number \d: 0", found, re.MULTILINE)
        assert "share of each number that a read key is compared by" in found
    assert viewer.errors() == []


def test_an_example_without_steps_is_shown_as_such(tmp_path, viewer):
    arrays, meta = diagonal_trace()
    arrays["sequence_length"] = np.array([0, 3])
    path = tmp_path / "page.html"
    path.write_text(page.render({"short": (arrays, meta)}, title="short"), encoding="utf-8")
    viewer.open_page(path)
    viewer.shows("short", "copy", 0, 0)
    viewer.until(lambda: "0 steps" in viewer.text(".facts"))

    viewer.select("Example").select_by_visible_text("1")
    viewer.element("input[type=range]").send_keys(Keys.END)
    viewer.shows("short", "copy", 0, 2)
    assert viewer.errors() == []


def test_a_notebook_shows_it_in_a_frame_that_has_no_address(tmp_path, viewer):
    arrays, meta = diagonal_trace(seed=1, hostile=True)
    shown = dnc.show(dnc.Trace(**arrays, **{**meta, "task": "copy"}))
    outer = f"<!DOCTYPE html><body>{shown._repr_html_()}"
    (tmp_path / "outer.html").write_text(outer, encoding="utf-8")
    viewer.driver.get((tmp_path / "outer.html").as_uri())
    viewer.until(lambda: viewer.frame() is not None)
    assert viewer.is_wide_enough()
    viewer.driver.switch_to.frame(viewer.frame())
    viewer.shows("trace", "copy", 0, 0)
    viewer.save_screenshot("notebook")
    assert viewer.is_wide_enough()

    viewer.element("input[type=range]").send_keys(Keys.ARROW_RIGHT)
    viewer.shows("trace", "copy", 0, 1)
    viewer.element("input[type=range]").send_keys(Keys.END)
    viewer.shows("trace", "copy", 0, 11)
    viewer.select("Example").select_by_visible_text("1")
    viewer.shows("trace", "copy", 0, 6)
    viewer.save_picture(tmp_path)
    assert viewer.errors() == []
    assert viewer.hosts() == set()


def test_one_recording_leaves_nothing_to_choose(tmp_path, viewer):
    path, (arrays, meta) = tmp_path / "page.html", diagonal_trace(B=1)
    arrays["sequence_length"] = arrays["sequence_length"][:1]
    path.write_text(page.render({"only": (arrays, meta)}, title="only"), encoding="utf-8")
    viewer.open_page(path)
    viewer.shows("only", "copy", 0, 0)

    labels = [each.text for each in viewer.driver.find_elements(By.CSS_SELECTOR, ".toolbar label")]
    assert [text.split("\n")[0] for text in labels if text] == ["Speed", "Slots by", "only touched"]
    assert not viewer.button("Compare").is_displayed()
    assert viewer.errors() == []
