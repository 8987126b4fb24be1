"""The exit codes of commands that wait for answers."""

EXIT_CODES = {"YES": 0, "NO": 1, "UNKNOWN": 3}
NOT_ANSWERED = 4
