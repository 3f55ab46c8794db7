"""Where images come from: one file for each source."""
