"""The typed core and the thin adapters around it."""
