"""Mutants: control blocks with one small change each, which the tests and the proofs must notice."""
