"""The co-processor's registers, and its ports to buses."""
