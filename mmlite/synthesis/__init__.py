"""Visual-extraction-tuning data from any question-answer data, written by teachers."""
