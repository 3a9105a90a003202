"""The server's edge: routes off the event loop, checks on names, errors as HTTP answers."""
