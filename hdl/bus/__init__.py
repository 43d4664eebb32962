"""The co-processor's registers, and its ports to AXI4 and Wishbone. Imports spec and the streams of hdl.coprocessor."""
