"""Which case is worth a reader's time next, and how well the models do."""
