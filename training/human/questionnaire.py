"""One sitting: what is asked now, which answers count, what comes out."""

import threading
import time
from collections.abc import Callable

import cv2
import numpy as np

from training.human.answers import Answers
from training.human.questions import CANDIDATES
from training.human.statistics import Comparison, compare


class OutOfTurnError(Exception):
    """An answer to a question that is not the one asked now: answered before, in another tab, or not yet asked."""


class Questionnaire:
    """The questions in order. May be used by several threads."""

    def __init__(self, answers: Answers, read_crop: Callable[[int], np.ndarray]):
        """read_crop: position in the dataset → uint8 BGR `[H, W, 3]`."""
        self.finished = threading.Event()
        """Set when all is answered."""
        self._answers = answers
        self._questions = answers.questions
        self._read_crop = read_crop
        self._lock = threading.Lock()
        self._shown: dict[int, float] = {}  # question → when this sitting first sent its query
        if len(answers.choices) == len(self._questions):
            self.finished.set()

    @property
    def comparison(self) -> Comparison:
        """Of the questions answered so far; raises `ValueError` before the first."""
        pairs = list(zip(self._answers.choices, self._questions, strict=False))
        return compare([choice == q.right for choice, q in pairs], [q.model == q.right for _, q in pairs])

    def state(self) -> dict:
        """What the page may know, JSON: `answered` and `total`, and `result` once all are answered, never before."""
        with self._lock:
            state = {"answered": len(self._answers.choices), "total": len(self._questions)}
            if self.finished.is_set():
                state["result"] = self.comparison.to_dict()
            return state

    def crop(self, number: int, position: int) -> bytes | None:
        """A crop as PNG: of question `number` (from 1) the query, position 0, or a candidate, 1 to 10.

        None for a number or position that does not exist, or a question that has not come up yet.
        """
        with self._lock:
            reached = min(len(self._answers.choices) + 1, len(self._questions))
        if not (1 <= number <= reached and 0 <= position <= CANDIDATES):
            return None
        question = self._questions[number - 1]
        crop = self._read_crop(question.candidates[position - 1] if position else question.query)
        # Encoded anew, so that nothing of the file but its pixels is told.
        _, png = cv2.imencode(".png", crop)
        if position == 0:
            with self._lock:
                self._shown.setdefault(number, time.monotonic())
        return png.tobytes()

    def answer(self, number: int, position: int) -> None:
        """Take candidate `position` (1 to 10) as the answer to question `number` (from 1).

        Raises `OutOfTurnError` unless that question is asked now, `ValueError` for a position that does not exist,
        and `OSError` if the answer cannot be written; it does not count then.
        """
        if not 1 <= position <= CANDIDATES:
            raise ValueError(f"there is no candidate {position}")
        with self._lock:
            if number != len(self._answers.choices) + 1 or self.finished.is_set():
                raise OutOfTurnError(f"question {number} is not asked now")
            shown = self._shown.get(number)
            self._answers.append(position - 1, None if shown is None else time.monotonic() - shown)
            if len(self._answers.choices) == len(self._questions):
                self.finished.set()
