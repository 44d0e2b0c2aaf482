"""The table of research datasets: the layouts that `--data LAYOUT:PATH` knows."""

import inspect
from collections.abc import Callable
from functools import partial

from sdk.errors import DataError
from training.data.benchmark import Benchmark
from training.data.cuhk03 import load_cuhk03, load_cuhk03_classic
from training.data.cuhk_sysu import load_cuhk_sysu
from training.data.market1501 import load_market1501
from training.data.mars import load_mars
from training.data.msmt17 import load_msmt17
from training.data.single_shot import load_cuhk01, load_grid, load_ilids, load_prid450s, load_viper

LAYOUTS: dict[str, Callable[..., Benchmark]] = {
    "market1501": load_market1501,
    "cuhk03": load_cuhk03,
    "cuhk03-labeled": partial(load_cuhk03, boxes="labeled"),
    "cuhk03-classic": load_cuhk03_classic,
    "cuhk03-classic-labeled": partial(load_cuhk03_classic, boxes="labeled"),
    "mars": load_mars,
    "cuhk-sysu": load_cuhk_sysu,
    "msmt17": load_msmt17,
    "viper": load_viper,
    "prid450s": load_prid450s,
    "grid": load_grid,
    "cuhk01": load_cuhk01,
    "ilids": load_ilids,
}
OPTIONS = {"seed": "--split-seed"}
"""What the command line calls an option of a loader, where it is not its name."""


def parse_layout(data: str) -> tuple[str, str] | None:
    """`LAYOUT:PATH` as (layout, path); None for anything else, which is a folder's path then."""
    layout, colon, path = data.partition(":")
    return (layout, path) if colon and layout in LAYOUTS else None


def takes(layout: str, option: str) -> bool:
    """Whether the layout's loader has that option."""
    return option in inspect.signature(LAYOUTS[layout]).parameters


def open_benchmark(layout: str, path: str, *, any_counts: bool = False, **options) -> Benchmark:
    """Load a dataset; options that are None are left to its loader.

    any_counts: other numbers of people and images than the published are fine. Raises `DataError` for an option that
    the layout does not have, and as its loader does.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if not takes(layout, name):
            option = OPTIONS.get(name, f"--{name.replace('_', '-')}")
            raise DataError(f"{option} means nothing to {layout}; leave it away")
    if any_counts:
        given["published"] = {}
    return LAYOUTS[layout](path, **given)
