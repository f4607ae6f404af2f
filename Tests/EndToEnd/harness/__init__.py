"""Network namespaces, programs in them, and ways to look at them, for the end-to-end tests."""

import os

# The crash handler of the Swift runtime can hang for minutes.
os.environ.setdefault("SWIFT_BACKTRACE", "enable=no")
