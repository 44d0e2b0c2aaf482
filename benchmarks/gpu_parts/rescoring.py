"""Re-scoring, each way that is usable here."""

from benchmarks.gpu_parts.findings import Findings
from benchmarks.gpu_parts.pairs import big_pairs
from benchmarks.gpu_parts.timing import seconds_each
from sdk.distances import local_distance_gathered
from sdk.engines.stripes import GpuStripes
from sdk.rescoring import available, choose

DIFFERENCE = 0.02


def measure(found: Findings, name: str) -> None:
    """A call for 16 queries × 100 candidates of a gallery that the way holds, and of one that it is handed.

    name: of the model beside whose engine those of re-scoring are, if it could be built.
    """
    model = found.folder / f"{name}.engine"
    pairs = big_pairs(*((2, 8, 40) if found.small else (16, 100, 10_000)))
    expected = local_distance_gathered(pairs.query, pairs.gallery, pairs.candidates)
    for way in available(model if model.is_file() else None):
        if not way.usable:
            found.note(way.name, {"not run": way.reason})
            continue
        rescorer = choose(model, way.name)
        held = rescorer.hold(pairs.gallery)
        figures, worst = {}, 0.0
        for title, gallery in (("held", held), ("handed over", pairs.gallery)):
            distances = rescorer.distances(pairs.query, gallery, pairs.candidates)
            worst = max(worst, float(abs(distances - expected).max()))
            seconds = seconds_each(lambda gallery=gallery: rescorer.distances(pairs.query, gallery, pairs.candidates))  # noqa: B023
            figures[f"{title}, ms a call"] = seconds * 1e3
        found.note(way.name, figures | {"largest difference": worst})
        found.check(f"re-scoring by {way.name}: largest difference to NumPy", worst, DIFFERENCE)
        if isinstance(held, GpuStripes):
            held.close()
