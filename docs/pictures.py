"""Draws the pictures of docs/images: what the simulation makes, what the demo finds in it, how two crops are aligned.

python docs/pictures.py
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from sdk import ReIdentifier
from sdk.demo import run_demo
from sdk.simulation.population import Population
from sdk.simulation.site import Site
from sdk.simulation.site.picture import draw_plan
from training.alignment import align_crops, draw_alignment
from training.checkpoint import load_checkpoint
from training.start import SHIPPED

IMAGES = Path(__file__).parent / "images"
SEED = 0


def people(count: int = 10, cameras: tuple[int, int] = (2, 5)) -> np.ndarray:
    """A row a person: eight views in one camera, eight in another."""
    population = Population(count, seed=SEED, size=(128, 64))
    rows = []
    for identity in range(count):
        crops = [[population.draw(identity, camera, view) for view in range(8)] for camera in cameras]
        gap = np.full((128, 6, 3), 255, np.uint8)
        rows.append(np.hstack([*crops[0], gap, *crops[1]]))
    return np.vstack(rows)


def misalignment() -> np.ndarray:
    """A row a setting of the dial: 0, the usual 0.25, 0.5, 1; the same sixteen crops in each."""
    crops = [(identity, camera, camera) for identity in range(4) for camera in range(4)]
    return np.vstack([
        np.hstack([Population(4, cameras=4, seed=5, misalignment=dial).draw(*crop) for crop in crops])
        for dial in (0.0, 0.25, 0.5, 1.0)
    ])  # fmt: skip


def street() -> np.ndarray:
    """Sixteen crops, and below them the same people and cameras on a street."""
    crops = [(identity, identity % 4, identity) for identity in range(16)]
    plain, on_street = (Population(16, cameras=4, seed=5, street=share) for share in (0.0, 1.0))
    return np.vstack([np.hstack([people.draw(*crop) for crop in crops]) for people in (plain, on_street)])


def site_frames(site: Site, second: float) -> np.ndarray:
    """What all four cameras see at one moment, with true boxes, names and visibility."""
    _, frames, truths = next(tick for tick in site if tick[0] >= second)
    annotated = []
    for name, frame in frames.items():
        truth = truths[name]
        for (x0, y0, x1, y1), identity, visible in zip(
            truth.boxes.astype(int).tolist(), truth.identities, truth.visibility, strict=True
        ):
            hue = np.uint8([[[int(identity.removeprefix("true-")) * 67 % 180, 160, 255]]])
            colour = tuple(map(int, cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0]))
            cv2.rectangle(frame, (x0, y0), (x1, y1), colour, 1)
            text = f"{identity.removeprefix('true-')} {visible:.0%}"
            cv2.putText(frame, text, (x0, max(12, y0 - 4)), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
        annotated.append(frame)
    sheet = np.vstack([np.hstack(annotated[:2]), np.hstack(annotated[2:])])
    return cv2.resize(sheet, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)


def demo_frames(second: float) -> np.ndarray:
    """What `reid demo` wrote of its three cameras at one moment."""
    site = Site(SEED, cameras=3, people=6, seconds=45.0)
    with tempfile.TemporaryDirectory() as folder:
        run_demo(site, ReIdentifier(), Path(folder))
        frames = []
        for name in site.camera_names:
            video = cv2.VideoCapture(f"{folder}/{name}.mp4")
            video.set(cv2.CAP_PROP_POS_FRAMES, round(second * site.frame_rate))
            frames.append(video.read()[1])
    return cv2.resize(np.hstack(frames), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)


def alignment() -> np.ndarray:
    """One person in two cameras, in the second with a box as bad as they come; as `reid align` draws it."""
    first = Population(200, cameras=8, seed=3, misalignment=0.0).draw(115, 0, 0)
    second = Population(200, cameras=8, seed=3, misalignment=1.0).draw(115, 3, 0)
    checkpoint = load_checkpoint(SHIPPED)
    measured = align_crops(checkpoint.build_model(), first, second)
    return draw_alignment(measured, first, second, ("one camera", "another"), checkpoint.config.model.input_size)


def failures(most: int = 16) -> np.ndarray:
    """Queries that the shipped model gets wrong among 200 drawn people, the surest errors first, each pair once.

    From above: the query, the first match, the best of the right person.
    """
    population = Population(200, cameras=8, seed=11)
    crops = [population.draw(person, camera, 0) for person in range(200) for camera in range(8)]
    people, cameras = np.repeat(np.arange(200), 8), np.tile(np.arange(8), 200)
    embedding = ReIdentifier().embed(crops).embedding
    distance = np.where(cameras[:, None] == cameras, np.inf, 1 - embedding @ embedding.T)
    right = np.where(people[:, None] == people, distance, np.inf)
    wrong = np.where(people[:, None] == people, np.inf, distance)
    lead = right.min(axis=1) - wrong.min(axis=1)
    columns, shown = [], set()
    for query in np.argsort(-lead):
        if lead[query] <= 0 or len(columns) == most:
            break
        pair = frozenset((people[query], people[wrong[query].argmin()]))
        if pair not in shown:
            shown.add(pair)
            columns.append(np.vstack([crops[i] for i in (query, wrong[query].argmin(), right[query].argmin())]))
    print(f"{(lead > 0).sum()} of {len(crops)} queries have a wrong first match; {len(columns)} are shown")
    return np.hstack(columns)


def main() -> None:
    site = Site(seed=SEED)
    for name, picture in {
        "people.jpg": people(),
        "misalignment.jpg": misalignment(),
        "street.jpg": street(),
        "site.jpg": site_frames(site, 30.0),
        "demo.jpg": demo_frames(22.0),
        "align.jpg": alignment(),
        "failures.jpg": failures(),
        "plan.png": draw_plan(site.plan, site.camera_names, site.walks),
    }.items():
        quality = [cv2.IMWRITE_JPEG_QUALITY, 85] if name.endswith(".jpg") else []
        cv2.imwrite(str(IMAGES / name), picture, quality)
        print(f"wrote {IMAGES / name}, {picture.shape[1]}×{picture.shape[0]} px")


if __name__ == "__main__":
    main()
