"""Configuration: the files of a run, and what is wrong with a key, class or value in them."""
