"""What benchmarks/gpu.py measures: a module a subject, whose functions are the parts.

A part is a function of `findings.Findings`, to which it tells each figure and check as soon as it has it. It raises
`Unavailable` where this machine lacks what it needs, and may die in any way it likes: `runner.py`, which knows nothing
of what is measured, runs each in a process of its own (`child.py`).
"""
