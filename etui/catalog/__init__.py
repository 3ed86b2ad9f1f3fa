"""What can be chosen: models, precisions, delegates, weights and inputs, described without importing torch."""
