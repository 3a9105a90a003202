"""MONAI Label's strategies: which case a reader is offered next."""
