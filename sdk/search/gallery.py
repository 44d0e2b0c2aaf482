"""Find a person among the identities of a gallery."""

from collections.abc import Sequence
from pathlib import Path

from sdk.errors import DataError
from sdk.folder import read_image
from sdk.gallery import Candidate, Gallery
from sdk.reidentifier import ReIdentifier
from sdk.search.find import Hit, Query, SearchResult, mean_features, name_of

WORD_FOR_NOWHERE = "-"
"""The camera of an exemplar that has none."""


def search_gallery(
    reid: ReIdentifier, images: Sequence[Path], identity: str | None = None, top_k: int = 10
) -> SearchResult:
    """The `top_k` identities of `reid.gallery` that are nearest to one person, each once; re-scored if `reid` does so.

    images: of the person. Without any, `identity` is somebody of the gallery whose crops it stores: the people most
    like him or her, himself or herself left out. Raises `DataError` if it stores none, or for an image that cannot be
    read.
    """
    gallery = reid.gallery
    crops = [read_image(path) for path in images] or [crop for crop, *_ in gallery.crops(identity)]
    if not crops:
        raise DataError(
            f"the gallery stores no crops of '{identity}' to search with; give images of the person instead"
        )
    person = mean_features(reid.embed(crops))
    (found,) = reid.search(person, top_k=top_k + 1)
    candidates = [candidate for candidate in found if images or candidate.identity != identity][:top_k]
    query = Query(name_of(images) if images else identity, tuple(images), crop=crops[0])
    return SearchResult(query, tuple(_hit(candidate, gallery) for candidate in candidates))


def _hit(candidate: Candidate, gallery: Gallery) -> Hit:
    crops = gallery.crops(candidate.identity)
    of_camera = [crop for crop, camera, _ in crops if camera == candidate.camera]
    crop = (of_camera or [crop for crop, *_ in crops] or [None])[0]
    camera = WORD_FOR_NOWHERE if candidate.camera is None else candidate.camera
    return Hit(None, candidate.identity, camera, candidate.distance, None, crop)
