"""The `musehub` command: one thin file per subcommand."""
