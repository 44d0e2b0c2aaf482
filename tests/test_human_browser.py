"""The page of `reid human` in a real browser: headless Chromium, driven as a person would."""

import json

import numpy as np
import pytest

from sdk.simulation.population import Population
from training.data import SimulatedPeople
from training.human import Answers, Questionnaire, build_questions, compare, serve
from training.human.answers import write_questions

COUNT = 5


@pytest.fixture(scope="module")
def people() -> SimulatedPeople:
    return SimulatedPeople.of(Population(12, cameras=2, views=1, seed=7, size=(64, 32)))


@pytest.fixture
def answers(tmp_path, people):
    features = np.eye(12)[people.labels] + np.random.default_rng(0).normal(0, 0.35, (len(people), 12))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    questions = build_questions(features, people.labels, people.cameras, COUNT, seed=0)
    write_questions(tmp_path, {}, questions, people)
    with Answers(tmp_path, questions, people) as answers:
        yield answers


@pytest.fixture
def address(answers, people):
    with serve(Questionnaire(answers, people.read)) as address:
        yield address


class Page:
    """What a person sees and does."""

    def __init__(self, chromium):
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        self.chromium = chromium
        self.id = By.ID
        self.css = By.CSS_SELECTOR
        self.waiting = WebDriverWait(chromium, 15, poll_frequency=0.02)

    def one(self, css: str):
        return self.chromium.find_element(self.css, css)

    def shown(self, css: str) -> bool:
        return self.one(css).is_displayed()

    def begin(self, label: str) -> None:
        self.waiting.until(lambda _: self.shown("#begin"))
        assert self.one("#begin").text == label
        self.one("#begin").click()

    def wait_for_question(self, number: int) -> None:
        """Until it is there with all pictures."""
        self.waiting.until(lambda _: self.one("#progress").text == f"Question {number} of {COUNT}")
        self.waiting.until(lambda _: self.shown("#question") and not self.one("#question").get_attribute("class"))

    def click(self, position: int) -> None:
        self.one(f"#candidates button:nth-child({position})").click()

    def press(self, key: str) -> None:
        self.one("body").send_keys(key)


@pytest.fixture
def page(chromium) -> Page:
    return Page(chromium)


def test_a_person_goes_through_it_by_clicks_and_keys(page, tmp_path, answers, people):
    """With a reload after the first answer, and the program ended and started again after the third."""
    questionnaire = Questionnaire(answers, people.read)
    with serve(questionnaire) as address:
        page.chromium.get(address)
        page.begin("Begin")
        page.wait_for_question(1)
        page.click(4)
        page.wait_for_question(2)
        page.chromium.refresh()
        page.begin("Go on")
        page.wait_for_question(2)
        page.press("0")
        page.wait_for_question(3)
        page.press("x")  # nothing
        page.press("7")
        page.wait_for_question(4)
    page.click(1)
    page.waiting.until(lambda _: "No answer from the program" in page.one("#message").text)
    assert answers.choices == [3, 9, 6]
    answers.__exit__()

    with (
        Answers(tmp_path, answers.questions, people) as again,
        serve(Questionnaire(again, people.read), int(address.rstrip("/").split(":")[-1])),
    ):
        page.chromium.refresh()
        page.begin("Go on")
        page.wait_for_question(4)
        right, wrong = again.questions[3].right + 1, (again.questions[4].right + 1) % 10 + 1
        page.press(str(right % 10))
        page.wait_for_question(5)
        assert not page.shown("#result")
        page.click(wrong)
        page.waiting.until(lambda _: page.shown("#result"))
        assert again.choices == [3, 9, 6, right - 1, wrong - 1]
        expected = compare(
            [choice == q.right for choice, q in zip(again.choices, again.questions, strict=True)],
            [q.model == q.right for q in again.questions],
        )
        scores = [line.text for line in page.chromium.find_elements(page.css, ".score b")]
        assert scores == [f"{100 * expected.person:.1f}%", f"{100 * expected.model:.1f}%"]
        low, high = expected.person_interval
        assert f"95% interval {100 * low:.1f}% to {100 * high:.1f}%" in page.one("#result").text
        page.press("3")  # the end is the end
        page.chromium.refresh()
        page.waiting.until(lambda _: page.shown("#result"))
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [line["candidates"].index(line["choice"]) for line in lines] == [3, 9, 6, right - 1, wrong - 1]
    assert all(line["seconds"] > 0 for line in lines)


def test_a_second_tab_does_no_harm(page, address, answers):
    first = page.chromium.current_window_handle
    page.chromium.get(address)
    page.begin("Begin")
    page.wait_for_question(1)
    page.chromium.switch_to.new_window("tab")
    page.chromium.get(address)
    page.begin("Begin")
    page.wait_for_question(1)
    page.click(2)
    page.wait_for_question(2)
    page.chromium.close()
    page.chromium.switch_to.window(first)
    page.click(9)  # still on question 1 here
    page.wait_for_question(2)
    assert "answered already" in page.one("#message").text
    assert answers.choices == [1]


def test_quick_fingers_answer_one_question(page, address, answers):
    """Three keys in one go: what comes before the next pictures are there is not taken for an answer to them."""
    page.chromium.get(address)
    page.begin("Begin")
    page.wait_for_question(1)
    page.chromium.execute_script(
        "for (const key of '123') document.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));"
    )
    page.wait_for_question(2)
    assert answers.choices == [0]


def test_the_page_does_not_tell_the_answer(page, address, people):
    page.chromium.get(address)
    page.begin("Begin")
    page.wait_for_question(1)
    pictures = page.chromium.find_elements(page.css, "#question img")
    assert [picture.get_attribute("alt") for picture in pictures] == [
        "The person to find",
        *(f"Candidate {position}" for position in range(1, 11)),
    ]
    assert [picture.get_attribute("src") for picture in pictures] == [f"{address}crop/1/{i}.png" for i in range(11)]
    source = page.chromium.page_source
    assert not any(identity in source for identity in people.identities)
    complaints = [entry["message"] for entry in page.chromium.get_log("browser") if "/crop/" in entry["message"]]
    assert complaints == []


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_it_fits_a_phone_in_light_and_dark(page, address, scheme, dark):
    emulate = page.chromium.execute_cdp_cmd
    emulate("Emulation.setDeviceMetricsOverride", {"width": 320, "height": 640, "deviceScaleFactor": 2, "mobile": True})
    emulate("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    try:
        page.chromium.get(address)
        page.begin("Begin")
        page.wait_for_question(1)
        width, height = page.chromium.execute_script(
            "return [document.documentElement.scrollWidth, "
            "document.querySelector('#candidates').getBoundingClientRect().bottom]"
        )
        assert width <= 320
        assert height <= 640  # the query and all ten candidates without scrolling
        colour = page.one("body").value_of_css_property("background-color")
        brightness = sum(float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])
        assert (brightness < 384) == dark
    finally:
        emulate("Emulation.clearDeviceMetricsOverride", {})
        emulate("Emulation.setEmulatedMedia", {"features": []})


def test_the_keyboard_alone_is_enough(page, address, answers):
    """Enter begins, Tab goes to the first candidate and Enter chooses it."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    page.chromium.get(address)
    page.waiting.until(lambda _: page.shown("#begin"))
    ActionChains(page.chromium).send_keys(Keys.ENTER).perform()
    page.wait_for_question(1)
    ActionChains(page.chromium).send_keys(Keys.TAB).perform()
    assert page.chromium.switch_to.active_element.get_attribute("aria-keyshortcuts") == "1"
    ActionChains(page.chromium).send_keys(Keys.TAB, Keys.ENTER).perform()
    page.wait_for_question(2)
    assert answers.choices == [1]
