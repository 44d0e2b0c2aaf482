"""The folder of a questionnaire: the questions, every answer as soon as it is given, and at last the result.

- `questions.json`: what they were made from, and of each the names of the query and the candidates.
- `answers.jsonl`: a line an answer.
- `result.json`: the comparison, once all are answered.
"""

import fcntl
import json
import os
from pathlib import Path

from sdk.errors import DataError
from sdk.output import write_whole
from sdk.reading import parse_json
from training.data import PeopleDataset
from training.human.questions import Question
from training.human.statistics import Comparison

VERSION = 1


def sample_name(sample) -> str:
    """What a dataset's sample is called in the files: identity, camera and what else tells it from others."""
    if hasattr(sample, "path"):
        return f"{sample.identity}/{sample.path.name}"
    return f"{sample.identity}/{sample.camera}_{sample.view:02d}"


def write_questions(folder: Path, settings: dict, questions: list[Question], people: PeopleDataset) -> None:
    """Begin a questionnaire. `settings`: what the questions depend on, JSON."""
    names = [sample_name(sample) for sample in people.samples]
    content = {
        "version": VERSION,
        "settings": settings,
        "questions": [
            {
                "query": names[question.query],
                "candidates": [names[crop] for crop in question.candidates],
                "right": names[question.candidates[question.right]],
                "model": names[question.candidates[question.model]],
            }
            for question in questions
        ],
    }
    _write(folder / "questions.json", content)


def read_questions(folder: Path, settings: dict, people: PeopleDataset) -> list[Question] | None:
    """The questions that `folder` was begun with; None if it holds none.

    They are read, not drawn again, so that a person who goes on tomorrow goes on with the same ones. Raises
    `DataError` if they were made from other settings, or are about crops that `people` lacks.
    """
    path = folder / "questions.json"
    if not path.exists():
        if (folder / "answers.jsonl").exists():
            raise DataError(f"{folder}: holds answers without their questions; choose a new folder")
        return None
    try:
        content = parse_json(path.read_bytes())
        version, begun_with, rows = content["version"], content["settings"], content["questions"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not readable as questions of `reid human`; choose a new folder") from error
    if version != VERSION:
        raise DataError(f"{path}: version {version}; this release reads version {VERSION}")
    if not isinstance(begun_with, dict) or not isinstance(rows, list):
        raise DataError(f"{path}: not readable as questions of `reid human`; choose a new folder")
    if begun_with != settings:
        other = [name for name in settings if begun_with.get(name) != settings[name]]
        raise DataError(
            f"{folder}: was begun with another {', '.join(other)}; choose a new folder, or go on with "
            + ", ".join(f"{name} {begun_with.get(name)}" for name in other)
        )
    crop_of = {sample_name(sample): i for i, sample in enumerate(people.samples)}
    try:
        return [
            Question(
                crop_of[row["query"]],
                tuple(crop_of[name] for name in row["candidates"]),
                row["candidates"].index(row["right"]),
                row["candidates"].index(row["model"]),
            )
            for row in rows
        ]
    except KeyError as error:
        raise DataError(f"{path}: asks for {error}, which is not among the people any more") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: a question is none ({error}); choose a new folder") from error


class Answers:
    """The answers given so far, on disk and in memory. A context manager; one at a time has a folder."""

    def __init__(self, folder: Path, questions: list[Question], people: PeopleDataset):
        """Raises `DataError` if another program is writing answers there, or those there do not fit the questions."""
        self.questions = questions
        self.choices: list[int] = []
        """Of the questions answered, in order: the position of the candidate chosen, from 0."""
        self._names = [sample_name(sample) for sample in people.samples]
        self._folder = folder
        path = folder / "answers.jsonl"
        try:
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror}); choose another output folder") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise DataError(
                f"{folder}: another `reid human` is at work here; end it, or choose another folder"
            ) from None
        try:
            self._read(path)
        except Exception:
            self._file.close()
            raise

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *exception) -> None:
        self._file.close()

    def append(self, choice: int, seconds: float | None) -> None:
        """Write the answer to the next question and force it to the disk. Raises `OSError`; nothing is counted then.

        choice: position of the candidate, from 0. seconds: how long it took; None: not known.
        """
        number = len(self.choices)
        question = self.questions[number]
        candidates = [self._names[crop] for crop in question.candidates]
        line = {
            "question": number + 1,
            "query": self._names[question.query],
            "candidates": candidates,
            "choice": candidates[choice],
            "right": candidates[question.right],
            "model": candidates[question.model],
            "seconds": None if seconds is None else round(seconds, 2),
        }
        content = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(content) != len(content):
                raise OSError("the disk is full")
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), size)
            raise
        self.choices.append(choice)

    def write_result(self, comparison: Comparison) -> None:
        """Write `result.json`. Raises `DataError` if it cannot be written; the answers are kept."""
        _write(self._folder / "result.json", comparison.to_dict())

    def _read(self, path: Path) -> None:
        """Take in what is on disk. A last line without an end is the rest of a crash, and is cut off."""
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.splitlines()
        for number, line in enumerate(lines):
            try:
                answer = parse_json(line)
                question = self.questions[number]
                names = [self._names[crop] for crop in question.candidates]
                if answer["question"] != number + 1 or answer["candidates"] != names:
                    raise ValueError("another question")
                self.choices.append(names.index(answer["choice"]))
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise DataError(
                    f"{path}, line {number + 1}: not the answer to question {number + 1} of this folder; "
                    "put the file back as it was, or choose a new folder"
                ) from error
        if len(whole) < len(content):
            os.ftruncate(self._file.fileno(), len(whole))


def _write(path: Path, content: dict) -> None:
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
