"""The report in a real browser: headless Chromium, opened as a file."""

import json
import re

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from sdk.colours import as_bgr, colour_of
from sdk.report.build import render
from sdk.report.visits import Outage, Record, Visit
from sdk.zones.ledger import Row
from tests.browsing import complaints, flaws, nameless, overflow, requested, screen, weak_contrast
from tests.crowd import LOST, UNBROKEN, cameras, crowd_record, names

EVIL = '<img src="http://192.0.2.1/x" onerror="document.title=1">'


def picture():
    import cv2

    return cv2.imencode(".jpg", np.full((160, 80, 3), (200, 60, 40), np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Twelve people who walk dock → lobby → yard, one after the other; person-3 comes back; one has a nasty name."""
    visits = []
    for number in range(12):
        name = EVIL if number == 11 else f"person-{number + 1}"
        for step, camera in enumerate(("dock", "lobby", "yard of the north building, back door")):
            first = 10 * number + 20 * step
            visits.append(Visit(name, camera, first, first + 15, [number], 150))
    visits.append(Visit("person-3", "dock", 150, 170, [40], 200))
    record = Record(
        ["dock", "lobby", "yard of the north building, back door"],
        sorted(visits, key=lambda v: v.first),
        outages=[Outage("lobby", "lost", 30, 40, "timeout")],
        reasons={
            ("dock", 0): {
                "new": False,
                "nearest": "person-1",
                "distance": 0.41,
                "evidence": 3.2,
                "look": 2.1,
                "odds": 1.1,
            }
        },
        zones=[
            Row("person-1", "dock", EVIL, visits=2, seconds=75.0, first=3, last=90),
            Row(None, "dock", EVIL, visits=1, seconds=5.0, first=100, last=105),
            Row("person-1", "lobby", "W" * 90, True, crossed_in=2, crossed_out=1, first=25, last=60),
        ],
        events=[
            {"time": 50, "kind": "merged", "identity": "person-1", "camera": None, "detail": {"other": EVIL}},
            {"time": 60, "kind": "camera_clock", "identity": None, "camera": "dock", "detail": {"what": "it jumped"}},
        ],
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(record, {i: picture() for i in range(20)}, "North site"), encoding="utf-8")
    return path.as_uri()


class Report:
    def __init__(self, chromium):
        self.chromium = chromium

    def all(self, css):
        return self.chromium.find_elements(By.CSS_SELECTOR, css)

    def one(self, css):
        return self.chromium.find_element(By.CSS_SELECTOR, css)

    @property
    def names(self):
        return [row.get_attribute("data-name") for row in self.all("#people .row")]

    def press(self, *keys):
        ActionChains(self.chromium).send_keys(*keys).perform()

    @property
    def focus(self):
        return self.chromium.switch_to.active_element


@pytest.fixture
def page(chromium, address):
    with screen(chromium, 1280):
        chromium.get("about:blank")
        requested(chromium), complaints(chromium)
        chromium.get(address)
        yield Report(chromium)
        assert complaints(chromium) == []


def test_clicks_find_people(page):
    assert len(page.names) == 12
    assert page.names[:2] == [f"person-{n}" for n in (1, 2)] or EVIL in page.names[:1]
    page.one('#ways [data-way="2,0"]').click()
    assert page.names == ["person-3"]
    assert page.one("#shown").text == "1 of 12"
    page.one("#filters button").click()
    assert len(page.names) == 12
    page.one('#cameras [data-camera="0"]').click()
    activity = page.one("#activity")
    width = activity.size["width"]
    ActionChains(page.chromium).move_to_element_with_offset(activity, round(width * (0.5 - 1e-3)), 0).click().perform()
    assert page.names == ["person-3"], "only they are at the dock at the end"
    page.press(Keys.ESCAPE)
    assert len(page.names) == 12


def test_a_person_bears_the_colour_that_the_video_gives_them(page):
    script = "return [...document.querySelectorAll('.portrait')].map((e) => getComputedStyle(e).borderTopColor)"
    blue_green_red = [as_bgr(colour_of(name)) for name in page.names]
    assert page.chromium.execute_script(script) == [f"rgb({r}, {g}, {b})" for b, g, r in blue_green_red]


def test_a_person_opens_with_their_visits_in_order(page):
    page.all("#people .row")[page.names.index("person-3")].click()
    (detail,) = page.all(".detail")
    assert [p.text for p in page.all(".visit p:first-of-type")] == [
        "dock", "lobby", "yard of the north building, back door", "dock",
    ]  # fmt: skip
    assert [p.text for p in page.all(".between")] == ["→\n5.0 s", "→\n5.0 s", "→\n75 s"]
    assert len(page.all(".detail .lane .time")) == 3
    assert page.chromium.current_url.endswith("#person=person-3")
    page.chromium.refresh()
    assert len(page.all(".detail")) == 1, "the address says who is open"
    assert detail is not None
    page.one('.row[aria-expanded="true"]').click()
    assert page.all(".detail") == []


def test_who_asks_why_is_told_in_words(page):
    page.all("#people .row")[page.names.index("person-1")].click()
    (asked,) = page.all(".visit details")
    assert asked.text == "Why?"
    asked.find_element(By.CSS_SELECTOR, "summary").click()
    assert asked.text.endswith(
        "evidence for person-1: +3.2 nats, +2.1 for the look, +1.1 for when, where, and how few are new (25 to 1 for)"
    )
    assert overflow(page.chromium) <= 0


def test_the_keyboard_alone_is_enough(page):
    page.press("/")
    page.press("person-1")
    assert page.names == ["person-1", "person-10", "person-11"]
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.focus.get_attribute("data-name") == "person-10"
    page.press(Keys.ENTER)
    assert page.focus.get_attribute("data-name") == "person-10", "the focus stays"
    assert len(page.all(".detail")) == 1
    page.press(Keys.ESCAPE)
    assert (len(page.names), page.all(".detail")) == (12, [])
    page.chromium.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.one("body").send_keys("")
    seen = []
    for _ in range(30):
        page.press(Keys.TAB)
        seen.append(page.focus.get_attribute("id") or page.focus.get_attribute("class"))
    assert {"skip", "search", "activity", "row"} <= set(seen)
    page.one("#activity").send_keys(Keys.END)
    assert page.names == ["person-3"]
    assert page.one("#activity").get_attribute("aria-valuetext") == "2:50, 1 in view"


def test_a_short_stay_in_a_long_time_is_shown_large(chromium, tmp_path):
    day = [Visit("ann", "dock", 1.7e9, 1.7e9 + 60, [1]), Visit("ann", "lobby", 1.7e9 + 120, 1.7e9 + 240, [1])]
    day.append(Visit("bob", "dock", 1.7e9 + 80000, 1.7e9 + 80010, [2]))
    path = tmp_path / "report.html"
    path.write_text(render(Record(["dock", "lobby"], day), {}, "A day"), encoding="utf-8")
    with screen(chromium, 1280):
        chromium.get(path.as_uri() + "#person=ann")
        page = Report(chromium)
        dock, lobby = (part.size["width"] for part in page.all(".detail .time i"))
        whole = page.one(".detail .time").size["width"]
        assert dock / whole == pytest.approx(0.25, abs=0.01)
        assert lobby / whole == pytest.approx(0.5, abs=0.01)
        assert page.one(".row .time i").size["width"] < 5
        assert page.one(".between").text == "→\n60 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (89.4, "89 s"), (119.7, "2 min 0 s"), (599.6, "10 min"),
     (3600, "60 min"), (7200, "2.0 h"), (259200, "3.0 days")],
)  # fmt: skip
def test_durations_read_well(page, seconds, text):
    assert page.chromium.execute_script("return duration(arguments[0])", seconds) == text


def test_what_happened_is_told(page):
    assert [line.text.split("\n")[1] for line in page.all("#happened li")] == [
        "lobby gave no picture for 10 s: timeout",
        f"{EVIL} and person-1 are one person, person-1",
        "dock: it jumped",
    ]


def test_zones_count_people_and_open_to_who_they_were(page):
    zone, line = page.all("#zones details")
    assert zone.text == f"{EVIL} at dock: 1 person, 3 visits, 80 s"
    assert line.text.endswith(" at lobby: 1 person, 2 in, 1 out")
    zone.find_element(By.CSS_SELECTOR, "summary").click()
    assert [row.text for row in zone.find_elements(By.CSS_SELECTOR, "li")] == [
        "person-1: 2 visits, 75 s, 0:03 to 1:30",
        "nobody known: 1 visit, 5.0 s, 1:40 to 1:45",
    ]


def test_no_request_leaves_the_machine_and_names_stay_text(page, address):
    page.press("/", "img")
    assert page.names == [EVIL]
    page.one("#people .row").click()
    assert page.chromium.title == "North site – people and cameras"
    asked = requested(page.chromium)
    assert address in [url.split("#")[0] for url in asked]
    assert {url.split(":")[0] for url in asked} == {"file", "data"}
    page.chromium.execute_script("new Image().src = 'http://192.0.2.1/?leak'")
    blocked = complaints(page.chromium)
    assert len(blocked) == 1, "the page's policy would stop one"
    assert "Content Security Policy" in blocked[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_and_can_be_read(chromium, address, width, scheme):
    with screen(chromium, width, scheme=scheme):
        chromium.get(address + "#person=person-3")
        page = Report(chromium)
        assert len(page.all(".detail")) == 1
        page.one('#cameras [data-camera="1"]').click()
        assert overflow(chromium) <= 0
        assert nameless(chromium) == []
        assert weak_contrast(chromium) == []
        dark = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(json.loads("[" + dark[4:-1] + "]")) < 384) == (scheme == "dark")
        assert page.one(".row").size["width"] > 0.8 * (width - 80)


def test_many_people_are_shown_in_parts(chromium, tmp_path):
    visits = [Visit(f"person-{n}", "dock", n, n + 5, [n], 50) for n in range(1, 1001)]
    path = tmp_path / "report.html"
    path.write_text(render(Record(["dock"], visits), {}, "Many"), encoding="utf-8")
    with screen(chromium, 1280):
        chromium.get(path.as_uri() + "#person=person-777")
        page = Report(chromium)
        assert len(page.all(".detail")) == 1
        chromium.get("about:blank")
        chromium.get(path.as_uri())
        assert len(page.all("#people > li")) == 200
        page.one("#more").click()
        assert len(page.all("#people > li")) == 400


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    path = tmp_path_factory.mktemp("crowd") / "report.html"
    path.write_text(render(crowd_record(), {}, "Sixty people"), encoding="utf-8")
    return path.as_uri()


def beyond(chromium):
    """Texts that are cut off, or reach out of the window, but for what scrolls in a box of its own."""
    return chromium.execute_script(
        """
        return [...document.querySelectorAll("b, th, .chip span, .lane span, li, h2")]
          .filter((e) => e.getClientRects().length && !e.closest(".path"))
          .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline"
            || !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1)
          .map((e) => e.textContent.slice(0, 60));
        """
    )


def test_sixty_people_before_twelve_cameras(chromium, crowd):
    record = crowd_record()
    with screen(chromium, 1280):
        chromium.get("about:blank")
        chromium.get(crowd)
        page = Report(chromium)
        assert [mark.get_attribute("title") for mark in page.all(".outage")] == [
            f"{LOST} gave no picture for 10 min: no route to host"
        ]
        (lane,) = page.all(".lane-of:has(.outage)")
        assert lane.get_attribute("data-lane") == str(cameras().index(LOST)), "no other lane is hatched"
        assert [chip.text for chip in page.all("#cameras .chip")] == cameras(), "all of every name"
        ways = page.one("#ways")
        assert ways.size["width"] > 1100
        assert ways.get_property("scrollWidth") <= ways.get_property("clientWidth") + 1, "twelve columns are in sight"
        by_name = page.names
        stays = {name: [v for v in record.visits if v.identity == name] for name in names()}
        orders = {
            "first": lambda name: stays[name][0].first,
            "last": lambda name: -max(round(v.last, 2) for v in stays[name]),
            "visits": lambda name: -len(stays[name]),
            "total": lambda name: (
                -len({s for v in stays[name] for s in range(round(100 * v.first), round(100 * v.last))})
            ),
            "name": by_name.index,
        }
        for order, key in orders.items():
            page.one(f'#order option[value="{order}"]').click()
            assert page.names == sorted(by_name, key=key), order
        assert re.search(r"\n4 visits, 4 cameras, \d+ min", page.one('.row[data-name="person-9"]').text)
        page.one(f'[data-lane="{cameras().index(LOST)}"]').click()
        assert page.one(".cursor").text[:4] in ("29:5", "30:0"), "a lane chooses a moment, too"
    for width, scheme in ((1280, "light"), (400, "dark")):
        with screen(chromium, width, scheme=scheme):
            chromium.get("about:blank")
            chromium.get(crowd + "#person=" + UNBROKEN)
            assert len(Report(chromium).all(".detail")) == 1
            assert (overflow(chromium) <= 0, beyond(chromium), weak_contrast(chromium)) == (True, [], [])


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_axe_finds_nothing_in_the_report(chromium, crowd, width, scheme):
    with screen(chromium, width, scheme=scheme):
        chromium.get("about:blank")
        chromium.get(crowd + "#person=person-3")
        assert flaws(chromium) == []
