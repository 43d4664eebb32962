"""Serial link to a host: UART, frames, and the core behind them."""
