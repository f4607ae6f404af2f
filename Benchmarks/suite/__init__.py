"""What the parts of the benchmark share: hosts under load, measuring, and showing what came of it."""

import os
import sys

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROJECT = os.path.dirname(FOLDER)

# Networks, daemons and rules come from the harness of the end-to-end tests.
sys.path.insert(0, os.path.join(PROJECT, "Tests", "EndToEnd"))
sys.path.insert(0, os.path.join(PROJECT, "Tests", "EndToEnd", "peer"))
