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

LAYOUTS: dict[str, Callable[..., Benchmark]] = {
    "market1501": load_market1501,
    "cuhk03": load_cuhk03,
    "cuhk03-labeled": partial(load_cuhk03, boxes="labeled"),
    "cuhk03-classic": load_cuhk03_classic,
    "cuhk03-classic-labeled": partial(load_cuhk03_classic, boxes="labeled"),
    "mars": load_mars,
    "cuhk-sysu": load_cuhk_sysu,
}


def parse_layout(data: str) -> tuple[str, str] | None:
    """`LAYOUT:PATH` as (layout, path); None for anything else, which is a folder's path then."""
    layout, colon, path = data.partition(":")
    return (layout, path) if colon and layout in LAYOUTS else None


def takes(layout: str, option: str) -> bool:
    """Whether the layout's loader has that option."""
    return option in inspect.signature(LAYOUTS[layout]).parameters


def open_benchmark(layout: str, path: str, **options) -> Benchmark:
    """Load a dataset; options that are None are left to its loader.

    Raises `DataError` for an option that the layout does not have, and as its loader does.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if not takes(layout, name):
            raise DataError(f"--{name.replace('_', '-')} means nothing to {layout}; leave it away")
    return LAYOUTS[layout](path, **given)
