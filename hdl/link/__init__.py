"""Serial link to a host: UART, frames, and the core behind them; a co-processor with its memory on the chip."""
