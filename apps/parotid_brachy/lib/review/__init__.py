"""Two readers: states of a case, the version store with its journal, readers, agreement."""
