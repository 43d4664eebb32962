// A co-processor on Wishbone in Verilator, and functions to use it from another process's language.
//
// The memory acknowledges after a random number of cycles. The driver in C is compiled with this file.

#include <cstdint>
#include <cstring>
#include <memory>

#include "Vdut.h"
#include "thresher.h"
#include "thresher_registers.h"
#include "verilated.h"

namespace {

struct System {
    VerilatedContext context;
    Vdut top{&context};
    uint8_t* memory = nullptr;  // as the bus sees it, from address `base`
    uint64_t base = 0, size = 0;
    uint64_t error_start = 0, error_end = 0;
    uint64_t cycle = 0, random = 1, outside = 0;
    unsigned wait = 0;
    uint64_t delay = 0;  // cycles before an abort
    bool dead = false;  // the memory does not answer

    unsigned draw(unsigned below) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        return unsigned(random >> 33) % below;
    }

    // Answers of the memory to what the master has offered since the last edge.
    void serve() {
        top.wbm_ack_i = top.wbm_err_i = top.wbm_rty_i = 0;
        if (!(top.wbm_cyc_o && top.wbm_stb_o) || dead) return;
        if (wait) {
            --wait;
            return;
        }
        wait = draw(4) ? 0 : draw(6);
        const uint64_t address = uint64_t(top.wbm_adr_o) * 8, offset = address - base;
        if (address < base || offset + 8 > size) ++outside;
        if (address < base || offset + 8 > size || (error_start <= address && address < error_end)) {
            top.wbm_err_i = 1;
            return;
        }
        if (!draw(16)) {
            top.wbm_rty_i = 1;
            return;
        }
        if (top.wbm_we_o) std::memcpy(memory + offset, &top.wbm_dat_o, 8);
        else std::memcpy(&top.wbm_dat_i, memory + offset, 8);
        top.wbm_ack_i = 1;
    }

    void tick() {
        serve();
        top.clk_i = 0;
        top.eval();
        top.clk_i = 1;
        top.eval();
        ++cycle;
    }

    void reset() {
        top.rst_i = 1;
        tick();
        top.rst_i = 0;
    }

    // One transfer to the registers. Returns whether it was refused.
    int access(uint32_t offset, bool write, uint32_t* value) {
        if (write && offset == THRESHER_CONTROL && *value & THRESHER_CONTROL_ABORT_MASK)
            for (uint64_t i = 0; i < delay; ++i) tick();
        top.wbs_cyc_i = top.wbs_stb_i = 1;
        top.wbs_we_i = write;
        top.wbs_adr_i = offset / 4;
        top.wbs_sel_i = 15;
        top.wbs_dat_i = *value;
        int refused = -1;
        while (refused < 0) {
            top.clk_i = 0;
            top.eval();
            if (top.wbs_ack_o || top.wbs_err_o) {
                refused = top.wbs_err_o;
                if (!write) *value = top.wbs_dat_o;
            }
            tick();
        }
        top.wbs_cyc_i = top.wbs_stb_i = 0;
        tick();
        return refused;
    }
};

int read_register(void* system, uint32_t offset, uint32_t* value) {
    return static_cast<System*>(system)->access(offset, false, value);
}

int write_register(void* system, uint32_t offset, uint32_t value) {
    return static_cast<System*>(system)->access(offset, true, &value);
}

int write_memory(void* system, uint32_t address, const uint8_t* data, size_t bytes) {
    System& it = *static_cast<System*>(system);
    if (address < it.base || address - it.base + bytes > it.size) return 1;
    std::memcpy(it.memory + (address - it.base), data, bytes);
    return 0;
}

int read_memory(void* system, uint32_t address, uint8_t* data, size_t bytes) {
    System& it = *static_cast<System*>(system);
    if (address < it.base || address - it.base + bytes > it.size) return 1;
    std::memcpy(data, it.memory + (address - it.base), bytes);
    return 0;
}

}  // namespace

extern "C" {

void* system_make(uint8_t* memory, uint64_t base, uint64_t size, uint64_t seed) {
    auto* system = new System;
    system->memory = memory;
    system->base = base;
    system->size = size;
    system->random = seed;
    system->reset();
    return system;
}

void system_free(void* system) { delete static_cast<System*>(system); }

int system_access(void* system, uint32_t offset, int write, uint32_t* value) {
    return static_cast<System*>(system)->access(offset, write, value);
}

void system_reset(void* system) { static_cast<System*>(system)->reset(); }

void system_tick(void* system, uint64_t cycles) {
    while (cycles--) static_cast<System*>(system)->tick();
}

int system_interrupt(void* system) { return static_cast<System*>(system)->top.irq; }

void system_errors(void* system, uint64_t start, uint64_t end) {
    static_cast<System*>(system)->error_start = start;
    static_cast<System*>(system)->error_end = end;
}

// Let some time pass before an abort.
void system_delay(void* system, uint64_t cycles) { static_cast<System*>(system)->delay = cycles; }

void system_dead(void* system, int dead) { static_cast<System*>(system)->dead = dead; }

uint64_t system_outside(void* system) { return static_cast<System*>(system)->outside; }

// The platform of the driver in C. Of the memory, the driver may use less than there is.
void system_platform(void* system, thresher_platform* platform, uint64_t size) {
    const System& it = *static_cast<System*>(system);
    *platform = {system, read_register, write_register, write_memory, read_memory, uint32_t(it.base), size, nullptr};
}
}
