"""CT series into a folder of studies: sources, checks, conversion in a child process."""
