"""Training a stage: the command line, its checks and defaults, progress, what is shown."""
