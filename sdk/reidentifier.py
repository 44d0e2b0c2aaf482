"""The one obvious entry point: crops in, identities out."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sdk.calibration import CameraStatistics
from sdk.crops import Crops, as_crops
from sdk.cutting import Cuts, Frames, cut_out
from sdk.distances import local_distance_gathered
from sdk.engines import DEFAULT_MODEL, Engine, Metadata, load_engine
from sdk.errors import CropError, DataError, EngineError, GalleryError
from sdk.gallery import Candidate, Gallery, Match
from sdk.gallery.resident import Aligner
from sdk.preprocess import to_batch
from sdk.rescoring import choose

MAX_BATCH = 64
"""More crops than this, or than the engine was built for, are embedded in several calls: it bounds the memory."""


@dataclass(frozen=True)
class Features:
    """What the model sees in crops, one row a crop."""

    embedding: NDArray[np.float32]
    """float32 `[N, D]` of unit length; compare by cosine distance."""
    stripes: NDArray[np.floating] | None = None
    """`[N, S, d]`, top to bottom, where the model has the local branch."""

    def __len__(self) -> int:
        return len(self.embedding)


class ReIdentifier:
    """Embeds crops of people, enrols them and finds them again.

    ```python
    reid = ReIdentifier()                       # the model that ships with the package
    reid.enroll(crops_of_ann, identity="ann", camera="dock")
    for match in reid.match(new_crops):
        print(match.identity, match.distance)   # identity None: nobody known
    ```

    Crops are uint8 BGR `[H, W, 3]` as OpenCV reads them, of any size from 8×8 pixels; what else they may be is said at
    `embed`.
    """

    def __init__(
        self,
        engine: str | Path | Engine | None = None,
        gallery: Gallery | str | Path | None = None,
        threshold: float | None = None,
        rescore: bool = False,
        weight: float = 1.0,
        *,
        host_code: bool = False,
        graphs: bool = False,
    ):
        """engine: a model file of `reid convert`, or a loaded engine; None: the model that ships with the package.

        gallery: where identities live: a `Gallery`, or the file or store to open; None: a new one in memory.
        threshold: cosine distance up to which crops match, and tracklets in a `MultiCameraTracker`; None: those
        calibrated into the model, one for each.
        rescore: keep the stripes of those who are enrolled, and order the candidates of a match by cosine distance +
        `weight` × aligned local distance / (2S − 1). Whether the first is accepted is still up to its cosine distance,
        which the threshold is calibrated for.
        host_code: let an engine that was built with `--version-compatible` run the code that it brings for the
        processor; only for a file of somebody you trust (`sdk.engines.load_engine`).
        graphs: launch an engine's work as CUDA graphs; of use where batches are small.
        Raises `DataError` for a threshold that no distance is; `EngineError` if the engine cannot be loaded, has no
        calibrated threshold and none is given, or gives no stripes to re-score by; `GalleryError` if the gallery cannot
        be opened, or holds features of another model.
        """
        self.engine: Engine = (
            load_engine(engine, host_code=host_code, graphs=graphs)
            if engine is None or isinstance(engine, (str, Path))
            else engine
        )
        metadata = self.engine.metadata
        if rescore and not metadata.stripes:
            raise EngineError(
                "the model gives no stripes, so nothing can be re-scored; convert its checkpoint with --rescore"
            )
        self._cameras = CameraStatistics.from_dict(metadata.cameras) if metadata.cameras else None
        self.rescore = rescore
        self.weight = float(weight)
        path = engine if isinstance(engine, (str, Path)) else DEFAULT_MODEL if engine is None else None
        rescorer = choose(path) if rescore else None
        self.threshold_given = threshold is not None
        """Whether the caller has chosen it, and it is not the model's own."""
        if threshold is None:
            if metadata.threshold is None:
                raise EngineError("the model has no calibrated threshold; pass one: ReIdentifier(…, threshold=0.4)")
            calibrated = metadata.threshold
            threshold = float(calibrated["value"])
            tracklet_threshold = float(calibrated.get("tracklet_value", threshold))
        else:
            threshold = tracklet_threshold = float(threshold)
        self.threshold = threshold
        self.tracklet_threshold = tracklet_threshold
        if not 0 <= self.threshold <= 2:
            raise DataError(f"the threshold is {self.threshold}; a cosine distance is from 0 to 2")
        # Last, so that a file is not left open by an error above.
        self.gallery = gallery if isinstance(gallery, Gallery) else Gallery(gallery)
        stripes = (metadata.stripes, metadata.stripe_dim) if rescore else None
        try:
            self.gallery.bind(features_of(metadata), metadata.embedding_dim, stripes)
        except GalleryError:
            if self.gallery is not gallery:
                self.gallery.discard()
            raise
        self.align = local_distance_gathered if rescorer is None else Aligner(rescorer, self.gallery)
        """Local distances of gathered stripes, the best way there is here (`sdk.rescoring`); on a GPU with the
        gallery's stripes at hand, which follow what is enrolled, forgotten and merged."""

    def embed(
        self,
        crops: Crops | Frames,
        camera: str | Sequence[str | None] | None = None,
        *,
        boxes: np.ndarray | Mapping[str, np.ndarray] | None = None,
    ) -> Features:
        """The features of N crops. Raises `CropError` naming the first bad crop and all their indices.

        crops: uint8 BGR `[H, W, 3]` arrays; paths of image files and images of PIL too. Tensors of PyTorch, and arrays
        in RGB, go through `sdk.as_crops`, where their order of channels is said. What `cut` gives is cut and resized on
        the GPU where the engine is there; nothing else changes.

        camera: that took them, or a list of one a crop. It matters to a model that was calibrated per camera
        (`reid calibrate --per-camera`): what that camera adds to the embeddings is taken away.
        boxes: `embed(frames, boxes=boxes)` is `embed(cut(frames, boxes))`.
        """
        if boxes is not None:
            # Anything else than frames, and several cameras, are refused there, in words.
            crops, camera = self.cut(cast(Frames, crops), boxes, cast(str | None, camera)), None
        elif isinstance(crops, Mapping):
            raise CropError("crops is a mapping; of frames by camera, pass the people's boxes: embed(frames, boxes=…)")
        if isinstance(crops, Cuts):
            camera = crops.cameras if camera is None else camera
        embedding, stripes = self._run(crops)
        if self._cameras is not None:
            of_crops = [camera] * len(embedding) if camera is None or isinstance(camera, str) else camera
            embedding = self._cameras.normalise(embedding, of_crops)
        return Features(embedding, stripes)

    def cut(self, frames: Frames, boxes: np.ndarray | Mapping[str, np.ndarray], camera: str | None = None) -> Cuts:
        """Crops of `frames` at `boxes`, to be given to `embed`, `enroll` or `match` in the place of crops.

        frames: one, uint8 BGR `[H, W, 3]`, which `camera` took, or a frame a camera by its name. boxes: xyxy `[N, 4]`
        in px, or by the camera's name; they may reach beyond the frame. The crops' order is the frames', and in a frame
        the boxes'. Raises `CropError` for a box that shows less than 8×8 pixels, and as `sdk.cutting.cut_out` says.

        With an engine on a GPU the pixels are on their way to it when this returns, so that whoever cuts the next
        frames' people before they embed these has both done at once. Frames must not be written to until then.
        """
        cuts = cut_out(frames, boxes, camera)
        if (cutter := self._cutter) is not None:
            cuts.uploaded = cutter.upload(cuts)
        return cuts

    @property
    def _cutter(self) -> Any:
        """Of an engine that cuts crops by itself."""
        return getattr(self.engine, "cutter", None)

    def _run(self, crops: Crops) -> tuple[np.ndarray, np.ndarray | None]:
        if isinstance(crops, Cuts) and crops and self._cutter is not None:
            embedding, kept = cast(Any, self.engine).run_cuts(crops)
            return embedding, kept
        batch = to_batch(as_crops(crops), self.engine.metadata.input_size)
        step = min(MAX_BATCH, self.engine.metadata.max_batch or MAX_BATCH)
        parts, stripes = zip(*(self.engine.run(batch[i : i + step]) for i in range(0, len(batch), step)), strict=True)
        return np.concatenate(parts), None if stripes[0] is None else np.concatenate(stripes)

    def enroll(self, crops: Crops, identity: str, camera: str | None = None, time: float | None = None) -> None:
        """Add crops of one person to the gallery under the name `identity`.

        camera and time (seconds) say where and when they were taken; crops that `cut` made of one camera's frame say it
        themselves. Raises `CropError` for a bad crop and `GalleryError` for a bad name; nobody is enrolled then.
        """
        if not isinstance(crops, Cuts):
            crops = as_crops(crops)
        elif camera is None and len(set(crops.cameras)) == 1:
            camera = crops.cameras[0]
        features = self.embed(crops, camera)
        stripes = features.stripes if self.rescore else None
        self.gallery.add(features.embedding, stripes, identity=identity, camera=camera, time=time, crops=crops)

    def match(
        self,
        crops: Crops,
        camera: str | Sequence[str | None] | None = None,
        top_k: int = 5,
        *,
        taken_by: str | Sequence[str | None] | None = None,
    ) -> list[Match]:
        """Find each crop's person among the enrolled: one `Match` a crop, in order.

        camera: compare with exemplars of this camera only, or a list of one a crop; None: of all. top_k: how many
        candidates a match lists. taken_by: the camera that took the crops, as `camera` of `embed`. Raises `CropError`
        naming the first bad crop. An empty gallery matches nobody.
        """
        found = self.search(self.embed(crops, taken_by), camera, top_k)
        return [self._decide(tuple(candidates)) for candidates in found]

    def search(
        self, features: Features, camera: str | Sequence[str | None] | None = None, top_k: int = 5
    ) -> list[list[Candidate]]:
        """The nearest identities of features that `embed` gave, re-scored if this re-identifier does so.

        camera, top_k: as of `match`, which asks this and then decides.
        """
        stripes = features.stripes if self.rescore else None
        return self.gallery.search(
            features.embedding, top_k, camera=camera, stripes=stripes, weight=self.weight, align=self.align
        )

    def _decide(self, candidates: tuple[Candidate, ...]) -> Match:
        if not candidates:
            return Match(None, float("inf"))
        best = candidates[0]
        return Match(best.identity if best.distance <= self.threshold else None, best.distance, candidates)


def features_of(metadata: Metadata) -> str:
    """What tells one model's features from another's, a text: its checkpoint and what is taken away of its cameras."""
    if not metadata.cameras:
        return metadata.checkpoint_sha256
    text = metadata.checkpoint_sha256 + json.dumps(metadata.cameras, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
