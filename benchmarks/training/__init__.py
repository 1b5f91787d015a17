"""The same training, by mmlite and by transformers' own classes."""
