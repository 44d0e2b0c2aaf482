"""Images of people with identities and cameras, and what training draws from them."""

from training.data.folder import PeopleDataset

__all__ = ["PeopleDataset"]
