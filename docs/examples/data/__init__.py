"""The worked examples of `docs/data.md`: a program that makes data, and one YAML per format."""
