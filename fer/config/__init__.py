"""From the words of a command to checked configurations: all mistakes of all jobs in one list."""
