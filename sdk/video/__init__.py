"""Videos in, and what was seen in them out: annotated videos, records, a summary."""
