"""People and cameras that do not exist, drawn with known identities: to train, to test, to try a set-up."""
