"""A model of the block memories of Xilinx 7, as far as Yosys uses them. Yosys has none."""

__all__ = ["memory_models"]

# Rows have the width of the widest port. A word that is read while the other port writes it is unknown; here it is
# inverted. All bits are 1 at the start.
MEMORY = """
module {name}({inputs}, output [{half}-1:0] DOADO, DOBDO, output [{half}/8-1:0] DOPADOP, DOPBDOP);
  parameter READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0, DOA_REG = 0, DOB_REG = 0;
  parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST", RAM_MODE = "TDP";
  parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE";
  parameter [{half}/8*9-1:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;
  parameter [255:0] {initial};
  localparam D = 2 * {half}, P = D / 8;
  localparam SDP = RAM_MODE == "SDP";
  reg [D-1:0] data [0:511];
  reg [P-1:0] parity [0:511];
  reg [D-1:0] qa = -1, qb = -1;
  reg [P-1:0] pa = -1, pb = -1;
  integer i;

  initial begin
    for (i = 0; i < 512; i = i + 1) begin data[i] = -1; parity[i] = -1; end
    if (DOA_REG || DOB_REG || RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE") $fatal;
  end

  function integer bits(input integer width);
    bits = width < 9 ? width : width / 9 * 8;
  endfunction
  function [D-1:0] ones(input integer width);
    ones = bits(width) == D ? ~{{D{{1'b0}}}} : ({{{{D-1{{1'b0}}}}, 1'b1}} << bits(width)) - 1'b1;
  endfunction
  function [{low}-1:0] place(input integer width, input [{low}-1:0] address);
    place = width == 0 ? 0 : address & ~(bits(width) - 1);
  endfunction
  function [D-1:0] mask(input integer width, input [{low}-1:0] address, input [P-1:0] enable);
    reg [D-1:0] wide;
    integer n;
    begin
      for (n = 0; n < D; n = n + 1) wide[n] = enable[width < 9 ? 0 : n / 8];
      mask = (wide & ones(width)) << place(width, address);
    end
  endfunction
  function [P-1:0] parities(input integer width, input [{low}-1:0] address, input [P-1:0] enable);
    parities = width < 9 ? {{P{{1'b0}}}}
      : (enable & ({{1'b0, {{P{{1'b1}}}}}} >> (P - width / 9))) << (place(width, address) >> 3);
  endfunction

  wire [{low}-1:0] place_a = ADDRARDADDR[{low}-1:0], place_b = ADDRBWRADDR[{low}-1:0];
  wire [8:0] row_a = ADDRARDADDR[{low}+8:{low}], row_b = ADDRBWRADDR[{low}+8:{low}];
  wire same = row_a == row_b;
  wire [P-1:0] enable_a = ENARDEN && WRITE_WIDTH_A != 0 ? WEA : 0, enable_b = ENBWREN && WRITE_WIDTH_B != 0 ? WEBWE : 0;
  wire [D-1:0] mask_a = mask(WRITE_WIDTH_A, place_a, enable_a), mask_b = mask(WRITE_WIDTH_B, place_b, enable_b);
  wire [P-1:0] masks_a = parities(WRITE_WIDTH_A, place_a, enable_a);
  wire [P-1:0] masks_b = parities(WRITE_WIDTH_B, place_b, enable_b);
  wire wide = SDP && bits(WRITE_WIDTH_B) == D;
  wire [D-1:0] data_a = {{{{{half}{{1'b0}}}}, DIADI}} << place(WRITE_WIDTH_A, place_a);
  wire [D-1:0] data_b = wide ? {{DIBDI, DIADI}} : {{{{{half}{{1'b0}}}}, DIBDI}} << place(WRITE_WIDTH_B, place_b);
  wire [P-1:0] parity_a = {{{{P/2{{1'b0}}}}, DIPADIP}} << (place(WRITE_WIDTH_A, place_a) >> 3);
  wire [P-1:0] parity_b = wide ? {{DIPBDIP, DIPADIP}}
    : {{{{P/2{{1'b0}}}}, DIPBDIP}} << (place(WRITE_WIDTH_B, place_b) >> 3);
  wire hurt_a = same && WRITE_MODE_B != "READ_FIRST", hurt_b = same && WRITE_MODE_A != "READ_FIRST";
  wire new_a = WRITE_MODE_A == "WRITE_FIRST", new_b = WRITE_MODE_B == "WRITE_FIRST";
  wire [D-1:0] word_a = (data[row_a] & ~(new_a ? mask_a : 0) | (new_a ? data_a & mask_a : 0)) ^ (hurt_a ? mask_b : 0);
  wire [D-1:0] word_b = (data[row_b] & ~(new_b ? mask_b : 0) | (new_b ? data_b & mask_b : 0)) ^ (hurt_b ? mask_a : 0);
  wire [P-1:0] extra_a =
    (parity[row_a] & ~(new_a ? masks_a : 0) | (new_a ? parity_a & masks_a : 0)) ^ (hurt_a ? masks_b : 0);
  wire [P-1:0] extra_b =
    (parity[row_b] & ~(new_b ? masks_b : 0) | (new_b ? parity_b & masks_b : 0)) ^ (hurt_b ? masks_a : 0);
  always @(posedge CLKARDCLK) begin
    if (|enable_a) begin
      data[row_a] <= data[row_a] & ~(mask_a | (same ? mask_b : 0)) | data_a & mask_a | (same ? data_b & mask_b : 0);
      parity[row_a] <= parity[row_a] & ~(masks_a | (same ? masks_b : 0)) | parity_a & masks_a
        | (same ? parity_b & masks_b : 0);
    end
    if (ENARDEN) begin
      if (RSTRAMARSTRAM) begin
        qa <= {{SRVAL_B[{half}-1:0], SRVAL_A[{half}-1:0]}};
        pa <= {{SRVAL_B[{half}/8*9-1:{half}], SRVAL_A[{half}/8*9-1:{half}]}};
      end
      else if (!(|enable_a && WRITE_MODE_A == "NO_CHANGE")) begin
        qa <= word_a >> place(READ_WIDTH_A, place_a);
        pa <= extra_a >> (place(READ_WIDTH_A, place_a) >> 3);
      end
    end
  end
  always @(posedge CLKBWRCLK) begin
    if (|enable_b && !(same && |enable_a)) begin
      data[row_b] <= data[row_b] & ~mask_b | data_b & mask_b;
      parity[row_b] <= parity[row_b] & ~masks_b | parity_b & masks_b;
    end
    if (ENBWREN) begin
      if (RSTRAMB) begin qb <= SRVAL_B[{half}-1:0]; pb <= SRVAL_B[{half}/8*9-1:{half}]; end
      else if (!(|enable_b && WRITE_MODE_B == "NO_CHANGE")) begin
        qb <= word_b >> place(READ_WIDTH_B, place_b);
        pb <= extra_b >> (place(READ_WIDTH_B, place_b) >> 3);
      end
    end
  end
  assign DOADO = qa[{half}-1:0], DOBDO = SDP ? qa[D-1:{half}] : qb[{half}-1:0];
  assign DOPADOP = pa[{half}/8-1:0], DOPBDOP = SDP ? pa[P-1:{half}/8] : pb[{half}/8-1:0];
endmodule
"""


def _model(name: str, *, half: int, address: int, words: int) -> str:
    """A memory of 512 rows of 2 · ``half`` bits and their parity bits."""
    controls = ["CLKARDCLK", "CLKBWRCLK", "ENARDEN", "ENBWREN", "REGCEAREGCE", "REGCEB"]
    controls += ["RSTRAMARSTRAM", "RSTRAMB", "RSTREGARSTREG", "RSTREGB"]
    wide = {"ADDRARDADDR": address, "ADDRBWRADDR": address, "DIADI": half, "DIBDI": half}
    wide |= {"DIPADIP": half // 8, "DIPBDIP": half // 8, "WEA": half // 8, "WEBWE": half // 4}
    inputs = [f"input {each}" for each in controls] + [f"input [{bits - 1}:0] {each}" for each, bits in wide.items()]
    initial = [f"INIT_{i:02X}" for i in range(words)] + [f"INITP_{i:02X}" for i in range(words // 8)]
    return MEMORY.format(
        name=name,
        inputs=", ".join(inputs),
        initial=", ".join(f"{each} = 256'd0" for each in initial),
        half=half,
        low=(2 * half).bit_length() - 1,
    )


def memory_models() -> str:
    """Verilog of RAMB36E1 and RAMB18E1."""
    return _model("RAMB36E1", half=32, address=16, words=128) + _model("RAMB18E1", half=16, address=14, words=64)
