"""A drawn site in a cache folder: the truth, what detectors found, and every crop; drawn once, replayed in seconds.

    python benchmarks/site_cache.py --seed 0 --cache out/sites

Drawing 4 cameras × 2 minutes and embedding every crop takes minutes, association seconds. So that association can be
measured and developed, everything before it is kept: a folder a seed, with the truth as `reid simulate site` writes
it, and a folder a detector ("simulated" looks at the truth, "motion" at the frames).
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from sdk.engines import DEFAULT_MODEL, load_engine
from sdk.preprocess import MIN_SIDE, resize
from sdk.simulation.site import Site
from sdk.simulation.site.detector import detect
from sdk.simulation.site.writing import record_lines
from sdk.terminal import notes, track
from sdk.tracking.change import ChangeMeter
from sdk.tracking.detectors import MotionDetector

SITE = {"cameras": 4, "people": 30, "seconds": 120.0}
DETECTORS = ("simulated", "motion")
CROP = (128, 64)
"""Height and width at which crops are kept, px: the shipped model's input."""


@dataclass(frozen=True)
class Found:
    """What a detector found in a site, a row a box, in order of time and camera; and what the model sees in it."""

    folder: Path
    tick: np.ndarray
    camera: np.ndarray
    """int `[N]`, the index of the camera's name."""
    box: np.ndarray
    """float32 `[N, 4]`, xyxy px."""
    confidence: np.ndarray
    changed: np.ndarray
    """Share of the pixels in the box that changed lately: `ChangeMeter.share`."""

    @cached_property
    def crops(self) -> np.ndarray:
        """uint8 `[N, 128, 64, 3]`, on disk."""
        return np.load(self.folder / "crops.npy", mmap_mode="r")

    def embedding(self, model: Path | None = None) -> np.ndarray:
        """float32 `[N, D]`, worked out once for every model file."""
        return self._features(model or DEFAULT_MODEL)[0]

    def stripes(self, model: Path) -> np.ndarray | None:
        """float16 `[N, S, d]`; None where the model has none."""
        return self._features(model)[1]

    def _features(self, model: Path) -> tuple[np.ndarray, np.ndarray | None]:
        digest = hashlib.sha256(Path(model).read_bytes()).hexdigest()[:12]
        files = [self.folder / f"{name}-{digest}.npy" for name in ("embedding", "stripes")]
        if not files[0].exists():
            engine = CheckpointEngine(model) if Path(model).suffix == ".pt" else load_engine(model)
            blocks = range(0, len(self.crops), 64)
            parts = [engine.run(self.crops[i : i + 64]) for i in track(blocks, f"embedding {self.folder.name}")]
            embedding, stripes = zip(*parts, strict=True)
            if stripes[0] is not None:
                np.save(files[1], np.concatenate(stripes).astype(np.float16))
            np.save(files[0], np.concatenate(embedding).astype(np.float32))
        return np.load(files[0]), np.load(files[1]) if files[1].exists() else None


class CheckpointEngine:
    """A checkpoint with its local branch, in PyTorch: stripes where no converted model has them."""

    def __init__(self, path: Path):
        from training.checkpoint import load_checkpoint
        from training.embedder import TorchEmbedder

        self._embedder = TorchEmbedder(load_checkpoint(path).build_model())

    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features = self._embedder.features(list(crops))
        return features.embedding, features.stripes


def open_site(cache: Path, seed: int, **settings) -> tuple[Site, dict[str, Found], Path]:
    """The site, what each detector found, and the folder of the truth; drawn first if the cache has it not.

    After a change of a detector, delete its folder: it alone is found anew.

    settings: of `Site`, other than those of `SITE`; for tests.
    """
    site = Site(seed, **{**SITE, **settings})
    folder = cache / f"seed-{seed}"
    if missing := [name for name in DETECTORS if not (folder / name / "crops.npy").exists()]:
        draw(site, folder, missing)
    found = {}
    for name in DETECTORS:
        with np.load(folder / name / "boxes.npz") as boxes:
            found[name] = Found(folder / name, **boxes)
    return site, found, folder / "truth"


def draw(site: Site, folder: Path, detectors: list[str]) -> None:
    """Draw `site` and keep the truth, the boxes of `detectors`, and their crops."""
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    rows: dict[str, list] = {name: [] for name in detectors}
    crops: dict[str, list] = {name: [] for name in detectors}
    meters = [ChangeMeter() for _ in site.camera_names]
    motion = [MotionDetector() for _ in site.camera_names]
    generators = [np.random.default_rng([site.seed, number, 13]) for number in range(site.cameras)]  # as in the demo
    unfinished = folder / "truth" / "tracks.jsonl.part"  # a truth that is there stays whole while it is drawn anew
    with unfinished.open("w", encoding="utf-8") as records:
        for tick, (time, frames, truths) in enumerate(track(site, f"drawing site {site.seed}", total=site.ticks)):
            for number, (name, frame) in enumerate(frames.items()):
                records.write(record_lines(time, name, tick, truths[name]))
                meters[number].update(frame)
                by_motion = motion[number](frame)
                boxes = {
                    "simulated": detect(truths[name], frame.shape[:2], generators[number]),
                    "motion": (by_motion.xyxy, by_motion.confidence),
                }
                for detector in detectors:
                    found = boxes[detector]
                    for box, confidence in zip(*found, strict=True):
                        rows[detector].append((tick, number, *box, confidence, meters[number].share(box)))
                        crops[detector].append(_crop(frame, box))
    unfinished.replace(folder / "truth" / "tracks.jsonl")
    for detector, table in rows.items():
        values = np.array(table, np.float64).reshape(-1, 8)
        (folder / detector).mkdir(exist_ok=True)
        np.savez(
            folder / detector / "boxes.npz",
            tick=values[:, 0].astype(int),
            camera=values[:, 1].astype(int),
            box=values[:, 2:6].astype(np.float32),
            confidence=values[:, 6].astype(np.float32),
            changed=values[:, 7].astype(np.float32),
        )
        np.save(folder / detector / "crops.npy", np.stack(crops[detector]))
    (folder / "site.json").write_text(json.dumps({"settings": asdict(site)}) + "\n", encoding="utf-8")


def _crop(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The crop as the tracker takes it; black where it would not take one."""
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = np.round(np.clip(box, 0, [width, height, width, height])).astype(int)
    if min(x1 - x0, y1 - y0) < MIN_SIDE:
        return np.zeros((*CROP, 3), np.uint8)
    return resize(frame[y0:y1, x0:x1], CROP)


def main(
    seed: Annotated[int, typer.Option(help="Of the site.")] = 0,
    cache: Annotated[Path, typer.Option(help="Where drawn sites are kept.")] = Path("out/sites"),
    model: Annotated[Path | None, typer.Option(help="Also work out the features of this model.")] = None,
) -> None:
    cv2.setNumThreads(1)
    _, found, _ = open_site(cache, seed)
    for name, boxes in found.items():
        boxes.embedding(model)
        notes.print(f"site {seed}, {name}: {len(boxes.tick)} boxes")


if __name__ == "__main__":
    typer.run(main)
