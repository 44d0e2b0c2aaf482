"""A site teaches the model from its own crops, of which nobody has said who they are (docs/adapting.md)."""
