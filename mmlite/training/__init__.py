"""Training a stage: the command line object, what the terminal shows, and progress."""
