"""Images of people with identities and cameras, and what training draws from them."""

from training.data.benchmark import Benchmark, RetrievalTest
from training.data.folder import PeopleDataset
from training.data.layouts import LAYOUTS, open_benchmark, parse_layout, takes
from training.data.simulated import SIMULATED, SimulatedPeople
from training.data.union import union

__all__ = [
    "LAYOUTS",
    "SIMULATED",
    "Benchmark",
    "PeopleDataset",
    "RetrievalTest",
    "SimulatedPeople",
    "open_benchmark",
    "parse_layout",
    "takes",
    "union",
]
