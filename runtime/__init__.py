"""Models on a backend, hardware compared with the golden model, and benches."""
