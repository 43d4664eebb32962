"""The link to a host: a serial line, frames, and the core behind them."""
