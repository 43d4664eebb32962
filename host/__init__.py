"""Host side of a board with an accelerator: frames, the serial port, streams, and the attention core behind them."""
