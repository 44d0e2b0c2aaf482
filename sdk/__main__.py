"""`python -m sdk`: the command `reid`, where another program has that name."""

from sdk.cli import main

main()
