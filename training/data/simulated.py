"""Drawn people as a dataset, drawn when they are read: no files, and another view of everybody in every epoch."""

from dataclasses import asdict, dataclass, field, replace

import numpy as np

from sdk.simulation.population import Population, identity_name
from training.data.folder import PeopleDataset

SIMULATED = "simulated"
"""What `--data` says for this dataset; a folder of that name is `./simulated`."""


@dataclass(frozen=True)
class DrawnSample:
    """One crop of a population."""

    number: int
    """Of the person."""
    camera_number: int
    view: int

    @property
    def identity(self) -> str:
        return identity_name(self.number)

    @property
    def camera(self) -> str:
        return f"{self.camera_number:02d}"


@dataclass(frozen=True)
class SimulatedPeople(PeopleDataset):
    """Crops that depend on (seed, identity, camera, view) alone, whichever process draws them."""

    samples: tuple[DrawnSample, ...]
    population: Population = field(kw_only=True)
    new_cameras: bool = field(default=False, kw_only=True)
    """Whether other cameras than before see everybody in every epoch: a look is then no help to anybody."""

    @classmethod
    def of(cls, population: Population, new_cameras: bool = False) -> "SimulatedPeople":
        """All crops of `population`."""
        settings = ", ".join(f"{name} {value}" for name, value in asdict(population).items())
        settings += ", new cameras in every epoch" if new_cameras else ""
        samples = tuple(DrawnSample(*crop) for crop in population)
        return cls(samples, f"drawn people ({settings})", population=population, new_cameras=new_cameras)

    def misaligned(self, misalignment: float) -> "SimulatedPeople":
        """The same people before the same cameras, in boxes that are off by another `misalignment`."""
        return replace(self, population=replace(self.population, misalignment=misalignment))

    def read(self, index: int, epoch: int = 0) -> np.ndarray:
        """Draw the crop, uint8 BGR `[H, W, 3]`. Every epoch goes on to views that none before has shown."""
        sample = self.samples[index]
        population = self.population
        view = sample.view + epoch * population.views
        later = epoch * (population.site_cameras or population.cameras) if self.new_cameras else 0
        return population.draw(sample.number, sample.camera_number + later, view)
