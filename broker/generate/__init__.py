"""What is generated from the table of channels, so that nothing else has to repeat it."""
