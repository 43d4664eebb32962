"""The attention core."""
