r"""Makes the pictures of docs/inspection.md from a run of train.py.

    python train.py --num_bits=6 --max_length=10 --max_repeats=3 --memory_size=32 \
        --learning_rate=1e-3 --stop_when_solved --report_interval=500 --summary_interval=500 \
        --checkpoint_dir=runs/seed_0 --trace_file=trace.npz
    python -m docs.pictures runs trace.npz docs/pictures

Needs Chromium, chromedriver and selenium, as the tests of the inspector do.
"""

import contextlib
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator

from selenium import webdriver

import dnc
from dnc.recording import panels as _panels

_WIDTH = 1280
_PATIENCE = 30  # seconds


@contextlib.contextmanager
def tensorboard(logs: str) -> Iterator[str]:
    """Runs TensorBoard and yields its address."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logs, "--port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield next(m[1] for line in process.stderr if (m := re.search(r"(http\S+)/ ", line)))
        finally:
            process.terminate()


@contextlib.contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Yields a browser without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def take(
    driver: webdriver.Chrome, address: str, path: pathlib.Path, height: int, **chosen: object
) -> None:
    """Saves a picture of the tab with this state in its address, once it is drawn."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": _WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    parts = [
        f"p.dnc_memory.{name}={urllib.parse.quote(str(value))}" for name, value in chosen.items()
    ]
    deadline = time.monotonic() + _PATIENCE
    while True:  # Until TensorBoard has read the run.
        driver.get("about:blank")
        driver.get(f"{address}/#{'&'.join(['dnc_memory', *parts])}")
        time.sleep(3)
        shown = driver.execute_script(
            "return [...document.querySelectorAll('iframe')].map("
            "  frame => frame.contentDocument.body.dataset.ready).find(Boolean)"
        )
        if shown and shown.startswith(f"{chosen['run']}|"):
            break
        if time.monotonic() > deadline:
            raise RuntimeError(f"The tab does not show run {chosen['run']}, but {shown}.")
    driver.save_screenshot(str(path))


def main(argv: list[str]) -> int:
    """Makes all pictures."""
    if len(argv) != 4:
        print("usage: python -m docs.pictures LOG_FOLDER TRACE.npz OUTPUT_FOLDER", file=sys.stderr)
        return 2
    folder = pathlib.Path(argv[3])
    folder.mkdir(exist_ok=True)
    trace = dnc.Trace.load(argv[2])
    for name, draw in {
        "episode": _panels.episode_panel,
        "usage": _panels.usage_panel,
        "read_modes": _panels.read_modes_panel,
    }.items():
        (folder / f"panel_{name}.png").write_bytes(draw(trace, 0))

    shown = {"run": "seed_0", "tag": "episode"}
    other = {"run2": "seed_0", "tag2": "episode", "step2": trace.step}
    with tensorboard(argv[1]) as address, browser() as driver:
        take(driver, address, folder / "inspector.png", 1140, **shown, t=20)
        take(driver, address, folder / "inspector_slot.png", 1140, **shown, t=12, slot=2)
        take(
            driver,
            address,
            folder / "inspector_compare.png",
            1000,
            **{**shown, "step": 500, **other, "t": 20},
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
