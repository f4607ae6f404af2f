"""The parts of the benchmark: each module has a TITLE and a function `run`."""
