"""Plans (RTPLAN) and doses (RTDOSE) of permanent seed implants, read and written."""
