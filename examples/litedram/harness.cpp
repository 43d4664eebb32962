// The system in Verilator, with a host that accesses registers and memory over AXI.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "Vsystem.h"
#include "verilated.h"

namespace {

constexpr uint32_t WORD = 8, BURST = 16 * WORD;
constexpr uint64_t LIMIT = 1000000;  // cycles in which every transfer of the host must end

struct System {
    VerilatedContext context;
    Vsystem top{&context};
    uint64_t cycle = 0;

    // Outputs that belong to the present inputs.
    void settle() {
        top.sys_clk = 0;
        top.eval();
    }

    void edge() {
        top.sys_clk = 1;
        top.eval();
        ++cycle;
    }

    // An edge while the host waits for a transfer that began in cycle `begin`.
    void edge_since(uint64_t begin) {
        edge();
        if (cycle - begin < LIMIT) return;
        std::fprintf(stderr, "the bus does not answer the host within %llu cycles\n", (unsigned long long)LIMIT);
        std::exit(1);
    }

    void tick() {
        settle();
        edge();
    }

    // One transfer of a channel that the host drives.
    void send(CData& valid, const CData& ready) {
        valid = 1;
        const uint64_t begin = cycle;
        for (bool taken = false; !taken;) {
            settle();
            taken = ready;
            edge_since(begin);
        }
        valid = 0;
    }

    // One transfer of the other direction. The outputs keep it until `end`.
    void receive(const CData& valid, CData& ready) {
        ready = 1;
        const uint64_t begin = cycle;
        for (settle(); !valid; settle()) edge_since(begin);
    }

    void end(CData& ready) {
        edge();
        ready = 0;
    }

    // Address and data of a register together, as most masters offer them.
    int write_register(uint32_t offset, uint32_t value) {
        top.s_axi_awaddr = offset;
        top.s_axi_wdata = value;
        top.s_axi_wstrb = 15;
        top.s_axi_awvalid = top.s_axi_wvalid = 1;
        const uint64_t begin = cycle;
        while (top.s_axi_awvalid || top.s_axi_wvalid) {
            settle();
            const bool address = top.s_axi_awready, data = top.s_axi_wready;
            edge_since(begin);
            if (address) top.s_axi_awvalid = 0;
            if (data) top.s_axi_wvalid = 0;
        }
        receive(top.s_axi_bvalid, top.s_axi_bready);
        const int response = top.s_axi_bresp;
        end(top.s_axi_bready);
        return response;
    }

    int read_register(uint32_t offset, uint32_t* value) {
        top.s_axi_araddr = offset;
        send(top.s_axi_arvalid, top.s_axi_arready);
        receive(top.s_axi_rvalid, top.s_axi_rready);
        *value = top.s_axi_rdata;
        const int response = top.s_axi_rresp;
        end(top.s_axi_rready);
        return response;
    }

    // One burst, of bytes in one block of 128. Bytes of its words before and after them do not change.
    void write_burst(uint32_t address, const uint8_t* data, uint32_t bytes) {
        const uint32_t first = address / WORD, words = (address + bytes - 1) / WORD - first + 1;
        top.host_axi_awaddr = first * WORD;
        top.host_axi_awlen = words - 1;
        send(top.host_axi_awvalid, top.host_axi_awready);
        for (uint32_t word = 0; word < words; ++word) {
            uint8_t held[WORD] = {}, strobes = 0;
            for (uint32_t lane = 0; lane < WORD; ++lane) {
                const uint32_t index = (first + word) * WORD + lane - address;
                if (index >= bytes) continue;  // also before the first byte: the difference is unsigned
                held[lane] = data[index];
                strobes |= 1 << lane;
            }
            std::memcpy(&top.host_axi_wdata, held, WORD);
            top.host_axi_wstrb = strobes;
            top.host_axi_wlast = word + 1 == words;
            send(top.host_axi_wvalid, top.host_axi_wready);
        }
        receive(top.host_axi_bvalid, top.host_axi_bready);
        end(top.host_axi_bready);
    }

    void read_burst(uint32_t address, uint8_t* data, uint32_t bytes) {
        const uint32_t first = address / WORD, words = (address + bytes - 1) / WORD - first + 1;
        top.host_axi_araddr = first * WORD;
        top.host_axi_arlen = words - 1;
        send(top.host_axi_arvalid, top.host_axi_arready);
        for (uint32_t word = 0; word < words; ++word) {
            receive(top.host_axi_rvalid, top.host_axi_rready);
            uint8_t held[WORD];
            std::memcpy(held, &top.host_axi_rdata, WORD);
            end(top.host_axi_rready);
            for (uint32_t lane = 0; lane < WORD; ++lane) {
                const uint32_t index = (first + word) * WORD + lane - address;
                if (index < bytes) data[index] = held[lane];
            }
        }
    }
};

uint32_t in_block(uint32_t address, uint64_t bytes) {
    const uint32_t rest = BURST - address % BURST;
    return bytes < rest ? uint32_t(bytes) : rest;
}

}  // namespace

extern "C" {

void* system_make() {
    auto* system = new System;
    auto& top = system->top;
    top.host_axi_awsize = top.host_axi_arsize = 3;    // words of 8 bytes
    top.host_axi_awburst = top.host_axi_arburst = 1;  // INCR
    top.sys_rst = 1;
    for (int i = 0; i < 4; ++i) system->tick();
    top.sys_rst = 0;
    return system;
}

void system_free(void* system) { delete static_cast<System*>(system); }

int system_write_register(void* system, uint32_t offset, uint32_t value) {
    return static_cast<System*>(system)->write_register(offset, value);
}

int system_read_register(void* system, uint32_t offset, uint32_t* value) {
    return static_cast<System*>(system)->read_register(offset, value);
}

void system_write_memory(void* system, uint32_t address, const uint8_t* data, uint64_t bytes) {
    while (bytes) {
        const uint32_t part = in_block(address, bytes);
        static_cast<System*>(system)->write_burst(address, data, part);
        address += part;
        data += part;
        bytes -= part;
    }
}

void system_read_memory(void* system, uint32_t address, uint8_t* data, uint64_t bytes) {
    while (bytes) {
        const uint32_t part = in_block(address, bytes);
        static_cast<System*>(system)->read_burst(address, data, part);
        address += part;
        data += part;
        bytes -= part;
    }
}

// Whether the interrupt comes within some cycles.
int system_wait(void* system, uint64_t cycles) {
    auto* it = static_cast<System*>(system);
    for (; !it->top.irq && cycles; --cycles) it->tick();
    return it->top.irq;
}

uint64_t system_cycle(void* system) { return static_cast<System*>(system)->cycle; }
}
