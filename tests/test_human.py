"""`reid human`: fair questions, answers that are never lost, and a server that tells and takes nothing else."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from math import comb

import cv2
import numpy as np
import pytest

from sdk.errors import DataError
from training.data import PeopleDataset
from training.human import Answers, Questionnaire, build_questions, compare, serve
from training.human.answers import read_questions, write_questions
from training.human.questionnaire import OutOfTurnError
from training.human.statistics import mcnemar_exact, paired_difference_interval, wilson_interval

SETTINGS = {"data": "drawn", "seed": 0}


@pytest.fixture(scope="module")
def people(drawn_people):
    return PeopleDataset.from_folder(drawn_people)


@pytest.fixture(scope="module")
def embedding(people):
    """The identity's own direction under noise: a model that is right sometimes."""
    rng = np.random.default_rng(0)
    features = np.eye(12)[people.labels] + rng.normal(0, 0.35, (len(people), 12))
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def questions(people, embedding):
    return build_questions(embedding, people.labels, people.cameras, 6, seed=0)


@pytest.fixture
def answers(tmp_path, people, questions):
    write_questions(tmp_path, SETTINGS, questions, people)
    with Answers(tmp_path, questions, people) as answers:
        yield answers


# The questions.


@pytest.mark.parametrize("kind", ["hard", "random"])
def test_ten_identities_from_other_cameras_one_of_them_right(people, embedding, kind):
    labels, cameras = people.labels, people.cameras
    for question in build_questions(embedding, labels, cameras, 40, 3, kind):
        crops = list(question.candidates)
        assert len(set(labels[crops])) == 10
        assert (cameras[crops] != cameras[question.query]).all()
        assert (labels[crops] == labels[question.query]).nonzero()[0].tolist() == [question.right]
        assert question.model == np.argmin(1 - embedding[crops] @ embedding[question.query])


def test_hard_candidates_are_the_nearest_of_the_nearest_identities(people, embedding):
    labels, cameras = people.labels, people.cameras
    for question in build_questions(embedding, labels, cameras, 10, 1, "hard"):
        distance = 1 - embedding @ embedding[question.query]
        nearest = {
            label: min(i for i in distance[(labels == label) & (cameras != cameras[question.query])])
            for label in set(labels) - {labels[question.query]}
        }
        wrong = [crop for crop in question.candidates if labels[crop] != labels[question.query]]
        np.testing.assert_allclose(sorted(distance[wrong]), sorted(nearest.values())[:9])


def test_the_seed_draws_the_questions_and_queries_are_spread(people, embedding):
    def build(seed):
        return build_questions(embedding, people.labels, people.cameras, 24, seed)

    assert build(4) == build(4)
    assert build(4) != build(5)
    assert np.bincount(people.labels[[q.query for q in build(4)]]).tolist() == [2] * 12


def test_the_right_one_may_be_anywhere(people, embedding):
    built = build_questions(embedding, people.labels, people.cameras, 96, 0)
    assert {q.right for q in built} == set(range(10))


def test_too_few_people_are_refused(people, embedding):
    few = people.labels < 9
    with pytest.raises(DataError, match="0 of the 72 crops"):
        build_questions(embedding[few], people.labels[few], people.cameras[few], 5, 0)
    with pytest.raises(DataError, match="96 of the 96"):
        build_questions(embedding, people.labels, people.cameras, 97, 0)
    with pytest.raises(DataError, match="choose hard or random"):
        build_questions(embedding, people.labels, people.cameras, 5, 0, "easy")


# The statistics.


def test_wilson_intervals_as_published():
    """Newcombe, Statistics in Medicine 17 (1998) 857–872, table I, method 3."""
    for successes, count, expected in (
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ):
        assert wilson_interval(successes, count) == pytest.approx(expected, abs=5e-5)
    assert wilson_interval(20, 20) == pytest.approx((1 - 0.1611, 1.0), abs=5e-5)


def test_wilson_covers_the_truth_in_95_of_100():
    """Summed over all outcomes of 50 trials, mean over many true rates."""
    covered = []
    for rate in np.linspace(0.05, 0.95, 181):
        chance = [comb(50, k) * rate**k * (1 - rate) ** (50 - k) for k in range(51)]
        intervals = [wilson_interval(k, 50) for k in range(51)]
        covered.append(sum(p for p, (low, high) in zip(chance, intervals, strict=True) if low <= rate <= high))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)


def test_the_interval_of_the_difference_covers_the_truth_and_agrees_with_a_bootstrap():
    rng = np.random.default_rng(0)
    chances = {"both": 0.55, "first": 0.2, "second": 0.1, "neither": 0.15}
    draws = rng.multinomial(50, list(chances.values()), 2000)
    intervals = [paired_difference_interval(*map(int, draw[:3]), 50) for draw in draws]
    assert np.mean([low <= 0.1 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.02)

    resampled = rng.multinomial(400, list(chances.values()), 20000)
    bootstrap = np.quantile((resampled[:, 1] - resampled[:, 2]) / 400, [0.025, 0.975])
    assert paired_difference_interval(220, 80, 40, 400) == pytest.approx(bootstrap, abs=0.01)


def test_the_interval_of_the_difference_as_published():
    """Airway hyper-responsiveness of 21 children: Fagerland et al., Statistics in Medicine 33 (2014) 2850–2875."""
    assert paired_difference_interval(1, 1, 7, 21) == pytest.approx((-0.507, -0.026), abs=5e-4)


def test_two_who_never_differ_are_not_known_to_be_equal():
    low, high = paired_difference_interval(50, 0, 0, 50)
    assert low == pytest.approx(-high)
    assert 0.01 < high < 0.15


def test_mcnemar_counts_coins():
    assert mcnemar_exact(0, 0) == 1
    assert mcnemar_exact(5, 5) == 1
    assert mcnemar_exact(0, 6) == pytest.approx(2 / 2**6)
    assert mcnemar_exact(1, 7) == mcnemar_exact(7, 1) == pytest.approx(2 * 9 / 2**8)


def test_a_comparison_counts_who_was_right():
    result = compare([True, True, True, False], [True, False, False, True])
    assert (result.person, result.model, result.difference) == (0.75, 0.5, 0.25)
    assert (result.person_only, result.model_only, result.questions) == (2, 1, 4)
    assert result.difference_interval[0] < 0 < result.difference_interval[1]
    with pytest.raises(ValueError, match="no questions"):
        compare([], [])


# The answers on disk.


def test_answers_are_taken_up_again(tmp_path, people, questions, answers):
    answers.append(3, 1.5)
    answers.append(0, None)
    answers.__exit__()
    restored = read_questions(tmp_path, SETTINGS, people)
    assert restored == questions
    with Answers(tmp_path, restored, people) as again:
        assert again.choices == [3, 0]
        again.append(9, 2.0)
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [line["question"] for line in lines] == [1, 2, 3]
    assert lines[0]["choice"] == lines[0]["candidates"][3]
    assert lines[0]["seconds"] == 1.5
    assert lines[0]["right"].split("/")[0] == lines[0]["query"].split("/")[0]


def test_half_a_line_of_a_crash_is_cut_off(tmp_path, people, questions, answers):
    answers.append(3, 1.5)
    answers.__exit__()
    path = tmp_path / "answers.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    with Answers(tmp_path, questions, people) as again:
        assert again.choices == [3]
        again.append(4, 1.0)
    with Answers(tmp_path, questions, people) as again:
        assert again.choices == [3, 4]


def test_answers_to_other_questions_are_refused(tmp_path, people, embedding, questions, answers):
    answers.append(3, 1.5)
    answers.__exit__()
    with pytest.raises(DataError, match=r"another seed.*seed 0"):
        read_questions(tmp_path, {**SETTINGS, "seed": 1}, people)
    with pytest.raises(DataError, match="not among the people"):
        read_questions(tmp_path, SETTINGS, people.subset(people.identities[:3]))
    others = build_questions(embedding, people.labels, people.cameras, 6, seed=1)
    with pytest.raises(DataError, match="line 1: not the answer"):
        Answers(tmp_path, others, people)
    (tmp_path / "questions.json").write_text("{}")
    with pytest.raises(DataError, match="not readable"):
        read_questions(tmp_path, SETTINGS, people)
    (tmp_path / "questions.json").unlink()
    with pytest.raises(DataError, match="without their questions"):
        read_questions(tmp_path, SETTINGS, people)


def test_one_folder_one_questionnaire(tmp_path, people, questions, answers):
    with pytest.raises(DataError, match="another `reid human`"):
        Answers(tmp_path, questions, people)


def test_an_answer_that_cannot_be_written_does_not_count(answers, people, monkeypatch):
    questionnaire = Questionnaire(answers, people.read)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            questionnaire.answer(1, 5)
    assert questionnaire.state()["answered"] == 0
    questionnaire.answer(1, 6)
    assert answers.choices == [5]


# One sitting.


def test_time_runs_from_when_the_query_was_shown(tmp_path, answers, people, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    questionnaire = Questionnaire(answers, people.read)
    questionnaire.crop(1, 0)
    clock[0] = 104.0
    questionnaire.crop(1, 0)  # a reload does not set the clock back
    clock[0] = 106.5
    questionnaire.answer(1, 1)
    assert json.loads((tmp_path / "answers.jsonl").read_text())["seconds"] == 6.5


def test_out_of_turn_answers_are_refused(answers, people):
    questionnaire = Questionnaire(answers, people.read)
    questionnaire.answer(1, 2)
    for number in (1, 3, 0, -1):
        with pytest.raises(OutOfTurnError):
            questionnaire.answer(number, 2)
    with pytest.raises(ValueError, match="no candidate 11"):
        questionnaire.answer(2, 11)
    assert answers.choices == [1]


# The server.


class Browser:
    """Requests to a running server."""

    def __init__(self, address: str):
        self.host = address.removeprefix("http://").rstrip("/")

    def ask(self, method: str, path: str, body=None, **headers) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=10)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read()

    def get(self, path: str, **headers):
        return self.ask("GET", path, **headers)

    def post(self, content, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content)
        return self.ask("POST", "/answer", body, **{"Content_Type": "application/json"} | headers)


@pytest.fixture
def browser(answers, people):
    with serve(Questionnaire(answers, people.read)) as address:
        assert address.startswith("http://127.0.0.1:")
        yield Browser(address)


def test_the_whole_questionnaire_over_http(browser, answers, questions, people):
    chosen = [questions[0].right, *[(q.right + 1) % 10 for q in questions[1:]]]
    for number, choice in enumerate(chosen, 1):
        status, body = browser.get("/state")
        assert json.loads(body) == {"answered": number - 1, "total": 6}  # and nothing about the answer
        status, body = browser.post({"question": number, "choice": choice + 1})
        assert status == 200
    result = json.loads(body)["result"]
    assert result["person"] == pytest.approx(1 / 6)
    assert result["model"] == pytest.approx(np.mean([q.model == q.right for q in questions]))
    assert answers.choices == chosen


def test_crops_are_pixels_by_number(browser, questions, people):
    question = questions[0]
    for position, crop in enumerate((question.query, *question.candidates)):
        status, png = browser.get(f"/crop/1/{position}.png")
        assert status == 200
        assert (cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR) == people.read(crop)).all()


@pytest.mark.parametrize(
    "path",
    [
        "/crop/2/1.png",  # not asked yet
        "/crop/0/1.png",
        "/crop/1/11.png",
        "/crop/1/-1.png",
        "/crop/%31/1.png",
        "/crop/../../etc/passwd",
        "/../pyproject.toml",
        "/questions.json",
        "/answers.jsonl",
        "/%2e%2e/",
    ],
)
def test_nothing_else_is_served(browser, path):
    assert browser.get(path)[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 1000,
        {"question": 1},
        {"question": 1, "choice": 0},
        {"question": 1, "choice": 11},
        {"question": 1, "choice": "3"},
        {"question": 1.0, "choice": 3},
        {"question": True, "choice": 3},
        {"question": 1, "choice": 3, "right": 3},
        b'{"question": 1, "choice": ' + b"1" * 900 + b"}",
    ],
)
def test_malformed_answers_are_refused(browser, answers, body):
    assert browser.post(body)[0] == 400
    assert answers.choices == []


def test_other_sites_cannot_answer_or_look(browser, answers):
    assert browser.post({"question": 1, "choice": 3}, Content_Type="text/plain")[0] == 415
    assert browser.post({"question": 1, "choice": 3}, Origin="http://elsewhere.example")[0] == 403
    assert browser.post(b" " * 5000 + b'{"question": 1, "choice": 3}')[0] == 413
    assert browser.post({"question": 1, "choice": 3}, Host="elsewhere.example")[0] == 403
    assert browser.get("/state", Host="elsewhere.example:80")[0] == 403
    assert browser.ask("POST", "/state", "{}")[0] == 405
    assert browser.ask("PUT", "/answer", "{}")[0] == 405
    assert browser.get("/answer")[0] == 405
    assert answers.choices == []


def test_the_same_answer_twice_counts_once_even_at_the_same_moment(browser, answers):
    statuses = []
    threads = [
        threading.Thread(target=lambda c=c: statuses.append(browser.post({"question": 1, "choice": c})[0]))
        for c in range(1, 9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 7
    assert len(answers.choices) == 1
    status, body = browser.post({"question": 1, "choice": 1})
    assert (status, json.loads(body)["answered"]) == (409, 1)


def test_an_unreadable_image_is_not_named(answers):
    def fail(_):
        raise DataError("people/somebody/1.png: not a readable image")

    with serve(Questionnaire(answers, fail)) as address:
        status, body = Browser(address).get("/crop/1/0.png")
    assert status == 500
    assert b"somebody" not in body


def test_the_page_stands_alone(browser):
    status, page = browser.get("/")
    assert status == 200
    for outside in (b"http:", b"https:", b"//cdn", b"@import", b'<link rel="stylesheet"', b'src="http'):
        assert outside not in page


def test_a_port_in_use_is_said(browser, answers, people):
    port = int(browser.host.split(":")[1])
    with pytest.raises(DataError, match=f"port {port}"), serve(Questionnaire(answers, people.read), port):
        pass


# The command.


class Command:
    """`reid human` in a process of its own, with a page."""

    def __init__(self, folder, *arguments):
        # Of a parent in the background SIGINT is inherited as ignored; a terminal's is not.
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += "from sdk.cli import run_app; import typer; from training.commands import register\n"
        code += "app = typer.Typer(); app.callback()(lambda: None); register(app); run_app(app)"
        arguments = ("human", "--output", folder, "--no-browser", *arguments)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
        )
        self.said = ""
        self.read_to("http://")
        self.browser = Browser(self.said[self.said.index("http://") :].split()[0]) if "http://" in self.said else None

    def read_to(self, text: str) -> None:
        """Read what it says until a line has `text` in it, or it has ended."""
        for line in self.process.stderr:
            self.said += line
            if text in line:
                break

    def end(self) -> tuple[int, str]:
        """Ctrl-C; exit status and everything that was printed."""
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out + self.said + err


def test_the_command_is_interrupted_resumed_and_finished(tmp_path, drawn_people):
    arguments = ("--data", drawn_people, "--queries", 3)
    first = Command(tmp_path / "out", *arguments)
    assert first.browser.post({"question": 1, "choice": 4})[0] == 200
    status, said = first.end()
    assert status == 0, said
    assert "1 of 3 answers kept" in said
    assert "Traceback" not in said

    second = Command(tmp_path / "out", *arguments)
    assert json.loads(second.browser.get("/state")[1])["answered"] == 1
    for number in (2, 3):
        assert second.browser.post({"question": number, "choice": 1})[0] == 200
    second.read_to("Ctrl-C ends")
    status, said = second.end()
    assert status == 0, said
    assert "3 questions" in said
    assert "McNemar" in said
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "out" / "answers.jsonl").read_text().splitlines()]
    assert result["person"] == pytest.approx(np.mean([line["choice"] == line["right"] for line in lines]))

    status, said = Command(tmp_path / "out", *arguments).wait()  # nothing is left to ask
    assert (status, "McNemar" in said) == (0, True)

    status, said = Command(tmp_path / "out", *arguments, "--seed", 1).wait()
    assert status == 1
    assert "another seed" in said
