"""Files and runs: the only floor that knows both stages, and the command line."""
