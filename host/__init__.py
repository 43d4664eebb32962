"""Hardware on a board, from the host's side: frames, the serial port, and cores behind it."""
