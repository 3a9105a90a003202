"""MONAI Label's datastores, made safe for requests that run at the same time."""
