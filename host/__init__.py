"""Host side of an accelerator: frames, the serial port, streams, the attention core behind them, and registers."""
