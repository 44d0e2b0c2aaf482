"""Images of people with identities and cameras, and what training draws from them."""

from training.data.folder import PeopleDataset
from training.data.simulated import SIMULATED, SimulatedPeople

__all__ = ["SIMULATED", "PeopleDataset", "SimulatedPeople"]
