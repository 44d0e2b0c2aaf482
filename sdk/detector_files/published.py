"""The catalogue: detectors that others have published, with the hash of the one file that is meant."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from sdk.errors import DataError


@dataclass(frozen=True)
class Published:
    """A detector's file, as its makers published it."""

    name: str
    """What `--detector` takes."""
    what: str
    url: str
    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal."""
    licence: str
    """SPDX identifier."""
    licence_url: str
    input_size: tuple[int, int]
    """(height, width) px."""

    @property
    def file(self) -> str:
        """Its name on disk: the publisher's, so that it can be copied there by hand."""
        return PurePosixPath(urlsplit(self.url).path).name


DEFAULT = "yolox-nano"
"""The one that is taken where it is here and none is named."""

PUBLISHED = {
    detector.name: detector
    for detector in (
        Published(
            name=DEFAULT,
            what="YOLOX-Nano of Megvii, trained on COCO",
            url="https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/yolox_nano.onnx",
            size=3659407,
            sha256="c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d",
            licence="Apache-2.0",
            licence_url="https://github.com/Megvii-BaseDetection/YOLOX/blob/main/LICENSE",
            input_size=(416, 416),
        ),
    )
}
"""By name."""


def published(name: str) -> Published:
    """The detector of that name. Raises `DataError` saying which there are."""
    if name not in PUBLISHED:
        raise DataError(f"no published detector '{name}' is known; there are: {', '.join(PUBLISHED)}")
    return PUBLISHED[name]
