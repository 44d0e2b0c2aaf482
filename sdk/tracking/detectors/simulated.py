"""Detectors for a drawn site: they look at the truth instead of the picture, with a good detector's faults."""

from collections.abc import Mapping

import numpy as np
import supervision as sv

from sdk.simulation.site import Site, Truth
from sdk.simulation.site.detector import detect
from sdk.tracking.detectors.boxes import Detector


def simulated_detectors(site: Site, latest: Mapping[str, Truth]) -> dict[str, Detector]:
    """One a camera, by name. latest: the truth by camera, which the caller keeps that of the frames looked at."""

    def detector(camera: str, number: int) -> Detector:
        rng = np.random.default_rng([site.seed, number, 13])

        def look_up(frame: np.ndarray) -> sv.Detections:
            boxes, confidence = detect(latest[camera], frame.shape[:2], rng)
            return sv.Detections(boxes, confidence=confidence, class_id=np.zeros(len(boxes), int))

        return look_up

    return {name: detector(name, number) for number, name in enumerate(site.camera_names)}
