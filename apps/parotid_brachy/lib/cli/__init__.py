"""The command line: one program, one module for each subcommand."""
