"""MONAI Label's infer tasks: thin adapters between the framework's requests and the core."""
