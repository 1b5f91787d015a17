"""Experiments on small vision-language models: perception, reasoning and how both shrink."""
