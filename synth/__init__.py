"""Hardware to gates: Yosys, nextpnr, reports, boards."""
