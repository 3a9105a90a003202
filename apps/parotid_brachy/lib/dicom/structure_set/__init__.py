"""RT Structure Sets (RTSTRUCT), written and read here."""
