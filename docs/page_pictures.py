"""Takes the pictures of pages in docs/images: the report and the live page over a drawn site, in headless Chromium.

python docs/page_pictures.py            # or one: report.jpg, live.jpg

Needs selenium (in the extra `test`), Chromium and its driver.
"""

import itertools
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from selenium import webdriver

from sdk import ReIdentifier
from sdk.demo import run_demo
from sdk.events import Event
from sdk.report import build_report
from sdk.serve import LiveSite, serve
from sdk.serve.run import run_site
from sdk.serve.sources import open_drawn_site
from sdk.simulation.site import Site

IMAGES = Path(__file__).parent / "images"
SEED = 5


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield chrome
    chrome.quit()


def take(chrome: webdriver.Chrome, width: int, height: int, scheme: str = "light") -> np.ndarray:
    """What is to be seen in a window of that size, in CSS px."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    time.sleep(1.5)
    return cv2.imdecode(np.frombuffer(chrome.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR)


def beside(first: np.ndarray, second: np.ndarray, gap: int = 24) -> np.ndarray:
    """Two pictures of one height, white between them."""
    return np.hstack([first, np.full((len(first), gap, 3), 255, np.uint8), second])


def report(chrome: webdriver.Chrome) -> np.ndarray:
    site = Site(0, cameras=3, people=6, seconds=45.0)  # that of `make demo`
    with tempfile.TemporaryDirectory() as folder:
        run_demo(site, ReIdentifier(), Path(folder) / "run")
        events = [
            Event(22.0, "camera_lost", "camera-2", detail={"reason": "no route to host"}),
            Event(28.0, "camera_back", "camera-2", detail={"seconds": 6.0}),
        ]
        (Path(folder) / "run" / "events.jsonl").write_text("".join(event.to_json() + "\n" for event in events))
        build_report(Path(folder) / "run", Path(folder) / "report.html", title="A drawn site")
        chrome.get((Path(folder) / "report.html").as_uri() + "#person=person-1")
        chrome.execute_script("window.scrollTo(0, 0)")
        wide = take(chrome, 1280, 1000)
        return beside(wide, take(chrome, 400, 1000, "dark"))


def live(chrome: webdriver.Chrome) -> np.ndarray:
    stop = threading.Event()
    drawn = Site(SEED, cameras=4, people=12, seconds=60.0)
    with open_drawn_site(ReIdentifier(), drawn) as opened:
        site = LiveSite(opened.tracker, opened.cameras)
        ticks = itertools.takewhile(lambda tick: tick[0] < 32, opened.ticks)
        with serve(site) as address:
            thread = threading.Thread(target=run_site, args=(site, ticks, stop))
            thread.start()
            while site.now < 27:
                time.sleep(0.2)
            chrome.get(address)
            wide = take(chrome, 1280, 1000)
            chrome.execute_script("openPerson(state.present.at(-1).identity)")
            narrow = take(chrome, 400, 1000, "dark")
            stop.set()
            thread.join()
    return beside(wide, narrow)


def main() -> None:
    pictures = {"report.jpg": report, "live.jpg": live}
    with browser() as chrome:
        for name in sys.argv[1:] or pictures:
            picture = pictures[name](chrome)
            cv2.imwrite(str(IMAGES / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
            size = (IMAGES / name).stat().st_size / 1000
            print(f"wrote {IMAGES / name}, {picture.shape[1]}×{picture.shape[0]} px, {size:.0f} kB")


if __name__ == "__main__":
    main()
