"""The version store's schema, revision by revision; see :mod:`.database` for how they are run."""
