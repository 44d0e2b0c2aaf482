"""The prior that ships with the model: what its distances mean on real people, from Market-1501's training half.

    python benchmarks/site_prior.py ../datasets/Market-1501-v15.09.15 --cache out/market

Writes `sdk/models/site_prior.json`: figures alone, no picture and nobody's features (mean and deviation are of 751
people together). The people that `real_association.py` reports are others.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from market_tracklets import embedded

from sdk.calibration.site import measure_site_prior
from sdk.output import write_whole
from sdk.reidentifier import ReIdentifier
from sdk.terminal import Table, results
from sdk.tracking.site.prior import SHIPPED


def main(
    root: Annotated[Path, typer.Argument(help="The folder of Market-1501.")],
    model: Annotated[Path | None, typer.Option(help="Of `reid convert`; the shipped one if none is given.")] = None,
    cache: Annotated[Path, typer.Option(help="Where features are kept.")] = Path("out/market"),
    output: Annotated[Path, typer.Option(help="JSON to write.")] = SHIPPED,
) -> None:
    half = embedded(root, "train", model, cache)
    found = measure_site_prior(
        half.mean, half.person, half.camera, half.first, half.last, data="Market-1501, training half"
    )
    table = Table("", "one camera", "two cameras")
    for name in ("stranger", "neutral", "slope"):
        table.add_row(name, *(f"{value:.3f}" for value in getattr(found, name)))
    results.print(table)
    values = {"checkpoint_sha256": ReIdentifier(model).engine.metadata.checkpoint_sha256} | found.to_dict()
    write_whole(output, json.dumps(values) + "\n")


if __name__ == "__main__":
    typer.run(main)
