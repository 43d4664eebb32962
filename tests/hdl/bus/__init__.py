"""Bus masters at third-party models of their bus, and at simple models in Amaranth's simulator."""
