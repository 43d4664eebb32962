"""What any component may be made of: sums and products, queues and delays, memories, a divider."""
