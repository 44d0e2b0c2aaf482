"""Fuzzed frames through a detector and the tracker: no crash, no hang, and nothing but boxes or a clear refusal.

python benchmarks/fuzz_frames.py --detector hog --frames 5000
python benchmarks/fuzz_frames.py --detector people.onnx --frames 5000
python benchmarks/fuzz_frames.py --detector boxes --frames 5000

Sizes go from 1×1 px to 8192 a side, extreme shapes too; contents are noise, plain, or something that moves; some frames
are grey, of 16 bit, floating, with alpha, empty, not contiguous, or no picture at all. `boxes` is a detector that
answers with broken boxes and confidences, and now and then with what is no answer. Every other frame goes to the
detector itself, the rest through `MultiCameraTracker.update`.

The work is done in another process, so that a crash is seen: its exit code and the frame are printed, and the next
frame goes on. A frame depends on `--seed` and its number alone; `--first N --frames 1` makes one of them again.
"""

import json
import queue
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Annotated

import numpy as np
import supervision as sv
import typer

from sdk import MultiCameraTracker, ReIdentifier
from sdk.errors import ReIDError
from sdk.tracking.detectors import detector_maker
from sdk.tracking.detectors.boxes import LEAST_SIDE, check_picture

LARGEST = 8192
"""px of a side."""
CLIP = 24
"""Frames that may have one size, so that what learns a background gets past its beginning."""
MOST_FAULTS = 20
"""After so many crashes and hangs it is given up."""

HARD = ((1, 1), (90, 160), (127, 63), (128, 64), (16, 16), (1, 8192), (8192, 1), (8, 8000), (8000, 16), (4320, 7680))
"""Height and width px of the first frames: under HOG's window, strips, 8K."""

PLAIN = ("noise", "even", "moving", "moving", "moving", "lines")
"""Contents of pictures that are what they should be."""
ODD = (
    *("grey", "grey with a channel", "alpha", "16 bit", "signed", "float", "double with NaN", "bool", "no rows"),
    *("None", "text", "list", "zero dimensions", "four dimensions"),
)
"""Frames that are none."""
LAYOUTS = ("as it is", "as it is", "every other pixel", "mirrored", "columns first", "read-only")


def size_of(seed: int, number: int) -> tuple[int, int]:
    """Height and width px of a frame: evenly over the logarithm, half of them for a whole clip."""
    if number < len(HARD):
        return HARD[number]
    rng = np.random.default_rng([seed, 1, number // CLIP])
    if rng.random() < 0.5:
        rng = np.random.default_rng([seed, 2, number])
    height, width = (round(float(np.exp(rng.uniform(0, np.log(LARGEST))))) for _ in range(2))
    shape = rng.random()
    if shape < 0.1:
        return (height, 1 + height % 32) if shape < 0.05 else (1 + width % 32, width)
    if shape < 0.5:  # like a camera's
        return max(1, round(width * float(rng.choice([9 / 16, 3 / 4, 16 / 9])))), width
    return height, width


def frame_of(seed: int, number: int) -> tuple[object, str]:
    """A frame, and what it is in words."""
    rng = np.random.default_rng([seed, 3, number])
    height, width = size_of(seed, number)
    if rng.random() < 0.12 and number >= len(HARD):
        kind = str(rng.choice(ODD))
        return odd_frame(kind, min(height, 2000), min(width, 2000), rng), f"{width}x{height} {kind}"
    kind = str(rng.choice(PLAIN))
    frame = picture(kind, height, width, number, rng)
    layout = str(rng.choice(LAYOUTS))
    if layout == "every other pixel":
        frame = frame[::2, ::2]
    elif layout == "mirrored":
        frame = frame[:, ::-1, ::-1]
    elif layout == "columns first":
        frame = np.asfortranarray(frame)
    elif layout == "read-only":
        frame.flags.writeable = False
    return frame, f"{width}x{height} {kind}, {layout}"


def picture(kind: str, height: int, width: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 BGR `[height, width, 3]`."""
    frame = np.empty((height, width, 3), np.uint8)
    if kind == "noise":
        tile = rng.integers(0, 256, (min(height, 256), min(width, 256), 3), np.uint8)
        frame[:] = np.tile(tile, (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1))[:height, :width]
        return frame
    frame[:] = 120 if kind == "moving" else rng.integers(0, 256, 3)
    if kind == "lines":
        frame[:: int(rng.integers(1, 9))] = 255
    if kind == "moving":  # an upright figure that walks across, its head on its shoulders
        x, w, h = int(width * (number % CLIP) / CLIP), max(1, width // 12), max(1, height // 2)
        top = height // 4
        frame[top + h // 6 : top + h, x : x + w] = (40, 60, 200)
        frame[top : top + h // 6, x + w // 3 : x + 2 * w // 3 + 1] = (150, 180, 230)
    return frame


def odd_frame(kind: str, height: int, width: int, rng: np.random.Generator) -> object:
    shapes = {"grey": (height, width), "grey with a channel": (height, width, 1), "alpha": (height, width, 4)}
    shapes |= {"no rows": (0, width, 3), "zero dimensions": (), "four dimensions": (1, height, width, 3)}
    kinds = {"16 bit": np.uint16, "signed": np.int16, "float": np.float32, "double with NaN": np.float64, "bool": bool}
    if kind in ("None", "text", "list"):
        return {"None": None, "text": "frame.png", "list": [[[0, 0, 0]] * 20] * 20}[kind]
    frame = np.zeros(shapes.get(kind, (height, width, 3)), kinds.get(kind, np.uint8))
    if kind == "double with NaN":
        frame[...] = np.nan
    return frame


class BrokenBoxes:
    """A detector that answers with all that is no box, beside two people who stand still."""

    def __init__(self, rng: np.random.Generator):
        self._rng = rng

    def __call__(self, frame: np.ndarray) -> object:
        check_picture(frame)
        rng, (height, width) = self._rng, frame.shape[:2]
        if rng.random() < 0.05:
            return [None, [], {}, np.zeros((2, 4)), sv.Detections.empty(), "people"][int(rng.integers(6))]
        count = int(rng.integers(0, 12))
        corner = rng.uniform(-0.3, 1.1, (count, 2)) * (width, height)
        boxes = np.hstack([corner, corner + rng.uniform(0, 0.7, (count, 2)) * (width, height)])
        confidence = rng.uniform(0, 1, count)
        people = np.array([[0.2, 0.3, 0.3, 0.8], [0.6, 0.3, 0.7, 0.8]]) * (width, height, width, height)
        values = (np.nan, np.inf, -np.inf, 0, -1, 1e-30, 1e9, -1e9, 3e38, width, height)
        broken = rng.random(boxes.shape) < 0.1
        boxes[broken] = rng.choice(values, broken.sum())
        broken = rng.random(count) < 0.1
        confidence[broken] = rng.choice(values, broken.sum())
        boxes, confidence, count = np.vstack([boxes, people]), np.append(confidence, [0.9, 0.9]), count + 2
        found = sv.Detections(np.zeros((count, 4), np.float32), class_id=np.zeros(count, int))
        found.xyxy = boxes.astype(np.float32)  # after it was checked by newer versions of supervision
        found.confidence = None if rng.random() < 0.2 else confidence.astype(np.float32)
        return found


def problem(found: object, frame: np.ndarray, inside: bool) -> str:
    """What is wrong with an answer; "" if nothing is. inside: whether boxes must be within the frame."""
    if not isinstance(found, sv.Detections):
        return f"the answer is {type(found).__name__}"
    height, width = frame.shape[:2]
    boxes, confidence = found.xyxy, found.confidence
    if not np.isfinite(boxes).all() or (confidence is not None and not np.isfinite(confidence).all()):
        return "a number is none"
    cut = np.clip(boxes, 0, [width, height, width, height])
    if not (cut[:, 2:] - cut[:, :2] >= LEAST_SIDE - 1e-3).all():
        return "a box is no area in the frame"
    if inside and len(boxes) and not np.allclose(cut, boxes):
        return "a box leaves the frame"
    if confidence is not None and len(confidence) and (confidence.min() < 0 or confidence.max() > 1):
        return "a confidence is not in 0 to 1"
    return ""


def work(name: str, seed: int, first: int, frames: int) -> None:
    """Look at the frames, a line before and a line after each."""
    broken = name == "boxes"
    detector = BrokenBoxes(np.random.default_rng([seed, first])) if broken else detector_maker(name)()
    reid = ReIdentifier()
    tracker = MultiCameraTracker(reid, detector, frame_rate=10)
    for number in range(first, first + frames):
        frame, words = frame_of(seed, number)
        print(json.dumps({"number": number, "frame": words}), flush=True)
        start = time.perf_counter()
        try:
            if (number % 2 or number < len(HARD)) and not broken:
                found = detector(frame)
            else:
                found = tracker.update({"fuzzed": frame}, number / 10)["fuzzed"]
            outcome = problem(found, frame, not broken) or ("people" if len(found) else "nobody")
            outcome = outcome if outcome in ("people", "nobody") else f"WRONG: {outcome}"
        except ReIDError as error:
            outcome = f"refused: {type(error).__name__}"
        except Exception as error:  # what this is here to find
            outcome = f"WRONG: {type(error).__name__}: {str(error).strip().splitlines()[-1][:150]}"
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps({"outcome": outcome, "seconds": time.perf_counter() - start, "MiB": memory}), flush=True)


def lines_of(process: subprocess.Popen, into: queue.Queue) -> None:
    for line in process.stdout:
        into.put(line)
    into.put(None)


def fuzz(detector: str, frames: int, seed: int, first: int, patience: float) -> dict:
    """Look at all frames in processes of their own; what came out."""
    outcomes, faults, slowest, memory, number = Counter(), [], (0.0, ""), 0, first
    while number < first + frames and len(faults) < MOST_FAULTS:
        command = [sys.executable, __file__, "--detector", detector, "--seed", seed, "--first", number]
        command += ["--frames", first + frames - number, "--worker"]
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        lines: queue.Queue = queue.Queue()
        threading.Thread(target=lines_of, args=(process, lines), daemon=True).start()
        words, done = "the start", True
        while True:
            try:
                line = lines.get(timeout=patience if not done else max(patience, 60))
            except queue.Empty:
                process.kill()
                process.wait()
                faults.append(f"HANG at {number} ({words})")
                break
            if line is None:
                if process.wait():
                    faults.append(f"EXIT {process.returncode} at {number} ({words})")
                break
            said = json.loads(line)
            if "frame" in said:
                number, words, done = said["number"], said["frame"], False
                continue
            done = True
            outcomes[said["outcome"]] += 1
            if outcomes.total() % 500 == 0:
                print(f"{outcomes.total()} of {frames} frames, {len(faults)} faults", file=sys.stderr)
            if said["outcome"].startswith("WRONG"):
                faults.append(f"{said['outcome']} at {number} ({words})")
            slowest, memory = max(slowest, (said["seconds"], words)), max(memory, said["MiB"])
        if words == "the start":
            break
        number += 1
    return {
        "detector": detector,
        "seed": seed,
        "frames": sum(outcomes.values()),
        "outcomes": dict(outcomes.most_common()),
        "slowest": [round(slowest[0], 2), slowest[1]],
        "peak MiB": memory,
        "faults": faults,
    }


def main(
    detector: Annotated[str, typer.Option(help="hog, motion, a model's file, or boxes.")] = "hog",
    frames: Annotated[int, typer.Option(help="How many frames.")] = 5000,
    seed: Annotated[int, typer.Option(help="Of all frames.")] = 0,
    first: Annotated[int, typer.Option(help="The number of the first one.")] = 0,
    patience: Annotated[float, typer.Option(help="Seconds after which a frame counts as a hang.")] = 120.0,
    worker: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Prints what came out as one JSON object; exits with 1 if there was a fault."""
    if worker:
        work(detector, seed, first, frames)
        return
    found = fuzz(detector, frames, seed, first, patience)
    print(json.dumps(found, indent=2, ensure_ascii=False))
    raise typer.Exit(1 if found["faults"] else 0)


if __name__ == "__main__":
    typer.run(main)
