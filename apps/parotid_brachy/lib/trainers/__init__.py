"""MONAI Label's train tasks over the queue of retrainings."""
