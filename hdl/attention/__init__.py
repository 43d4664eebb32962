"""Attention core and its stages. Stages with two variants, pipelined and compact, have a folder each."""
