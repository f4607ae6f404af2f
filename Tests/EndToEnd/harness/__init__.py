"""Network namespaces, programs in them, and ways to look at them, for the end-to-end tests."""
