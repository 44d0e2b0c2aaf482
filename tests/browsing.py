"""What tests of pages look at in a browser."""

import importlib.util
import json
from contextlib import contextmanager
from pathlib import Path

import pytest


def requested(chromium) -> list[str]:
    """Addresses that the browser asked for since this was last called."""
    messages = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


def complaints(chromium) -> list[str]:
    """Errors and warnings of the browser's console since this was last called; a broken content policy is one."""
    return [entry["message"] for entry in chromium.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@contextmanager
def screen(chromium, width: int, height: int = 800, scheme: str = "light"):
    """A window of that size in CSS px; below 600 px wide a phone's."""
    emulate = chromium.execute_cdp_cmd
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    emulate("Emulation.setDeviceMetricsOverride", metrics)
    emulate("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    try:
        yield
    finally:
        emulate("Emulation.clearDeviceMetricsOverride", {})
        emulate("Emulation.setEmulatedMedia", {"features": []})


def overflow(chromium) -> int:
    """By how many px the page is wider than the window."""
    return chromium.execute_script("return document.documentElement.scrollWidth - window.innerWidth")


def nameless(chromium) -> list[str]:
    """Tags of visible controls that a screen reader could not name."""
    return chromium.execute_script(
        """
        return [...document.querySelectorAll("button, input, a[href], [tabindex='0'], dialog[open]")]
          .filter((e) => e.getClientRects().length)
          .filter((e) => !(e.ariaLabel || e.getAttribute("aria-labelledby")))
          .filter((e) => !(e.labels?.length || e.textContent.trim()))
          .map((e) => e.outerHTML.slice(0, 120));
        """
    )


def weak_contrast(chromium, least: float = 4.5) -> list[str]:
    """Visible texts whose colour is too near to the colour behind them (WCAG 2: at least 4.5 to 1)."""
    return chromium.execute_script(
        """
        const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const rgba = (colour) => {
          canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
          return [...canvas.getImageData(0, 0, 1, 1).data];
        };
        const light = (c) => [0, 1, 2].map((i) => c[i] / 255)
          .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
          .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
        const behind = (e) => {
          for (; e; e = e.parentElement) {
            const colour = rgba(getComputedStyle(e).backgroundColor);
            if (colour[3] > 250) return colour;
          }
          return [255, 255, 255, 255];
        };
        const found = [];
        for (const e of document.body.querySelectorAll("*")) {
          const text = [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
          if (!text || !e.getClientRects().length || e.closest(".unseen, script, style, svg, [disabled]")) continue;
          const a = light(rgba(getComputedStyle(e).color)), b = light(behind(e));
          const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
          if (ratio < arguments[0]) found.push(text.slice(0, 40) + " " + ratio.toFixed(2));
        }
        return found;
        """,
        least,
    )


def flaws(chromium, part: str = "html") -> list[str]:
    """What axe-core finds wrong with a part of the page: rule, help, first element; skips where it is not installed."""
    package = importlib.util.find_spec("axe_core_python")
    if package is None:
        pytest.skip("axe-core is not installed (axe-core-python, in the extra test)")
    chromium.execute_script((Path(package.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8"))
    found = chromium.execute_async_script("axe.run(arguments[0]).then(arguments[1])", part)
    assert found["passes"], "it has looked at something"
    return [f"{row['id']}: {row['help']}: {row['nodes'][0]['html'][:200]}" for row in found["violations"]]
