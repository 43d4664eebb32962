// Streams of one Verilated component, driven at transaction level behind a C interface.
//
// ports.h, written beside this file for each component, names the model class and lists the ports:
//   TOP                       class of the model
//   INPUT_STREAMS(X)          X(index, name, width) for every stream that the component takes from
//   OUTPUT_STREAMS(X)         X(index, name, width) for every stream that it gives to
//   PLAIN_INPUTS(X)           X(index, name, width) for the inputs that belong to no stream
//   PROBES(X)                 X(index, name, width) for the outputs of up to 64 bits that belong to no stream
//                             (names as Verilator spells them: ___05F is a double underscore)
//   INPUTS, OUTPUTS, PLAINS, PROBE_COUNT   how many there are of each
//   MEMORY_READ, …            only for a component with a port `memory`: numbers of its streams
//   TRACE_CLASS, TRACE_HEADER only in builds that trace

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "memory.h"
#include "ports.h"
#include "verilated.h"
#ifdef TRACE_CLASS
#include TRACE_HEADER
#endif

namespace {

constexpr unsigned words_of(unsigned width) { return (width + 31) / 32; }

// Verilator holds ports of up to 64 bits as integers, wider ones as arrays of 32-bit words.
template <class T>
void load(T& port, const uint32_t* words) {
    uint64_t value = words[0];
    if (sizeof(T) > 4) value |= uint64_t(words[1]) << 32;
    port = T(value);
}
template <std::size_t N>
void load(VlWide<N>& port, const uint32_t* words) {
    std::memcpy(port.data(), words, N * sizeof(uint32_t));
}
template <class T>
void store(const T& port, uint32_t* words) {
    words[0] = uint32_t(port);
    if (sizeof(T) > 4) words[1] = uint32_t(uint64_t(port) >> 32);
}
template <std::size_t N>
void store(const VlWide<N>& port, uint32_t* words) {
    std::memcpy(words, port.data(), N * sizeof(uint32_t));
}

// Combinational components have neither clock nor reset.
template <class T>
auto set_clock(T& top, bool level, int) -> decltype(top.clk = level, void()) { top.clk = level; }
template <class T>
void set_clock(T&, bool, long) {}
template <class T>
auto set_reset(T& top, bool level, int) -> decltype(top.rst = level, void()) { top.rst = level; }
template <class T>
void set_reset(T&, bool, long) {}

// SplitMix64: one state per stream, so that the stalls of one stream do not depend on those of another.
struct Random {
    uint64_t state = 0;
    uint32_t next() {
        uint64_t z = (state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return uint32_t((z ^ (z >> 31)) >> 32);
    }
};

struct Stream {
    unsigned words = 0;
    uint64_t stall_below = 0;  // a cycle is stalled when a random 32-bit number is below this
    Random random;
    std::vector<uint32_t> beats;   // inputs: still to offer, from position on; outputs: taken
    std::vector<uint64_t> stamps;  // cycle of each transfer
    std::size_t position = 0;      // inputs: first beat of `beats` that was not accepted
    bool asserted = false;         // inputs: valid; outputs: ready
    bool held = false;             // outputs: valid was high without ready in the last cycle
    std::vector<uint32_t> payload; // outputs: the payload then, and scratch for the payload now
    std::vector<uint32_t> now;

    bool stalls() { return stall_below && random.next() < stall_below; }
};

// Counts in how many cycles each bit of an output is asserted, and records the cycles in which some bits are.
struct Probe {
    uint64_t ones[64] = {};
    uint64_t mask = 0;  // of the bits whose cycles are recorded
    std::vector<uint64_t> cycles, values;

    void sample(uint64_t value, uint64_t cycle) {
        for (uint64_t rest = value; rest; rest &= rest - 1) ++ones[__builtin_ctzll(rest)];
        if (value & mask) {
            cycles.push_back(cycle);
            values.push_back(value & mask);
        }
    }
    void clear() {
        std::memset(ones, 0, sizeof ones);
        cycles.clear();
        values.clear();
    }
};

constexpr unsigned at_least_one(unsigned n) { return n ? n : 1; }

struct Simulation {
    VerilatedContext context;
    std::unique_ptr<TOP> top;
#ifdef TRACE_CLASS
    std::unique_ptr<TRACE_CLASS> trace;
#endif
    uint64_t cycle = 0;
    uint64_t half_cycles = 0;
    Stream inputs[at_least_one(INPUTS)];
    Stream outputs[at_least_one(OUTPUTS)];
    Probe probes[at_least_one(PROBE_COUNT)];
    bool probing = false;
    Memory memory;
    std::string error;

    explicit Simulation(const char* trace_path) {
#ifdef TRACE_CLASS
        context.traceEverOn(true);
#endif
        top = std::make_unique<TOP>(&context, "dut");
#define X(i, name, width) inputs[i].words = words_of(width);
        INPUT_STREAMS(X)
#undef X
#define X(i, name, width)                           \
    outputs[i].words = words_of(width);             \
    outputs[i].payload.resize(words_of(width));     \
    outputs[i].now.resize(words_of(width));
        OUTPUT_STREAMS(X)
#undef X
#ifdef TRACE_CLASS
        trace = std::make_unique<TRACE_CLASS>();
        top->trace(trace.get(), 99);
        trace->open(trace_path);
#else
        (void)trace_path;
#endif
    }

    ~Simulation() {
        top->final();
#ifdef TRACE_CLASS
        trace->close();
#endif
    }

    void half_cycle(bool level) {
        set_clock(*top, level, 0);
        top->eval();
#ifdef TRACE_CLASS
        trace->dump(half_cycles);
#endif
        ++half_cycles;
    }

    // Forgets all payloads that wait outside of the component.
    void discard() {
        for (auto& s : inputs) {
            s.beats.clear();
            s.stamps.clear();
            s.position = 0;
            s.asserted = false;
        }
        for (auto& s : outputs) {
            s.beats.clear();
            s.stamps.clear();
            s.asserted = s.held = false;
        }
#define X(i, name, width) top->name##___05Fvalid = 0;
        INPUT_STREAMS(X)
#undef X
#define X(i, name, width) top->name##___05Fready = 0;
        OUTPUT_STREAMS(X)
#undef X
    }

    void abort() {
        discard();
        set_reset(*top, true, 0);
        half_cycle(false);
        half_cycle(true);
        set_reset(*top, false, 0);
        ++cycle;
    }

    void reset() {
        discard();
        set_reset(*top, true, 0);
        for (int i = 0; i < 2; ++i) {
            half_cycle(false);
            half_cycle(true);
        }
        set_reset(*top, false, 0);
        for (auto& probe : probes) probe.clear();
        memory.reset();
        cycle = 0;
        error.clear();
    }

    template <class Valid, class Payload>
    void offer(Stream& s, Valid& valid, Payload& payload) {
        if (!s.asserted && s.position * s.words < s.beats.size() && !s.stalls()) {
            load(payload, &s.beats[s.position * s.words]);
            s.asserted = true;
            valid = 1;
        }
    }

    template <class Valid>
    void accepted(Stream& s, Valid& valid) {
        s.stamps.push_back(cycle);
        s.asserted = false;
        valid = 0;
        if (++s.position * s.words == s.beats.size()) {
            s.beats.clear();
            s.position = 0;
        }
    }

    // Returns whether the stream's rules hold: once valid is high, valid and payload stay until ready.
    template <class Payload>
    bool watch(Stream& s, const char* name, bool valid, const Payload& payload) {
        if (valid) store(payload, s.now.data());
        if (s.held && !valid) error = std::string(name) + ": valid fell before ready";
        if (s.held && valid && s.now != s.payload) error = std::string(name) + ": payload changed before ready";
        s.held = valid && !s.asserted;
        if (s.held) s.payload = s.now;
        if (valid && s.asserted) {
            s.beats.insert(s.beats.end(), s.now.begin(), s.now.end());
            s.stamps.push_back(cycle);
        }
        return error.empty();
    }

    // 0: every output has its target; 1: limit reached; 2: a stream rule is broken, see `error`.
    // Without any target it goes on to the limit.
    int run(const uint64_t* targets, uint64_t limit) {
        bool endless = true;
        for (unsigned i = 0; i < OUTPUTS; ++i) endless &= targets[i] == 0;
        for (uint64_t n = 0;; ++n) {
            bool missing = endless;
            for (unsigned i = 0; i < OUTPUTS; ++i) missing |= outputs[i].stamps.size() < targets[i];
            if (!missing) return 0;
            if (n == limit) return 1;
            serve_memory();
#define X(i, name, width) offer(inputs[i], top->name##___05Fvalid, top->name##___05Fpayload);
            INPUT_STREAMS(X)
#undef X
#define X(i, name, width)                                                                  \
    outputs[i].asserted = wanted(i, targets[i]) && !outputs[i].stalls();                   \
    top->name##___05Fready = outputs[i].asserted;
            OUTPUT_STREAMS(X)
#undef X
            half_cycle(false);
            if (probing) {
#define X(i, name, width) probes[i].sample(uint64_t(top->name), cycle);
                PROBES(X)
#undef X
            }
            bool sound = true;
#define X(i, name, width) const bool taken##i = inputs[i].asserted && top->name##___05Fready;
            INPUT_STREAMS(X)
#undef X
#define X(i, name, width) sound &= watch(outputs[i], #name, top->name##___05Fvalid, top->name##___05Fpayload);
            OUTPUT_STREAMS(X)
#undef X
            half_cycle(true);
#define X(i, name, width) \
    if (taken##i) accepted(inputs[i], top->name##___05Fvalid);
            INPUT_STREAMS(X)
#undef X
            fill_memory();
            ++cycle;
            if (!sound || !error.empty()) return 2;
        }
    }

#ifdef MEMORY_READ
    // The memory is one more end of the streams of its port: it pushes what it answers and takes what it gets.
    void serve_memory() {
        memory.begin(cycle, outputs[MEMORY_WRITE_DATA].held);
        Stream& words = inputs[MEMORY_READ_DATA];
        if (words.beats.empty() && memory.can_read()) {
            words.beats.resize(3);
            memory.read(words.beats.data());
        }
        Stream& ends = inputs[MEMORY_WRITTEN];
        if (ends.beats.empty() && memory.written_due()) ends.beats.push_back(memory.written());
    }

    bool wanted(unsigned index, uint64_t target) {
        if (index == MEMORY_READ || index == MEMORY_WRITE) return true;
        if (index == MEMORY_WRITE_DATA) return memory.can_write();
        return outputs[index].stamps.size() < target;
    }

    void fill_memory() {
        drain(MEMORY_READ, [this](const uint32_t* beat) { memory.accept_read(beat); });
        drain(MEMORY_WRITE, [this](const uint32_t* beat) { memory.accept_write(beat); });
        drain(MEMORY_WRITE_DATA, [this](const uint32_t* beat) { memory.accept_word(beat); });
        inputs[MEMORY_READ_DATA].stamps.clear();
        inputs[MEMORY_WRITTEN].stamps.clear();
        if (error.empty() && !memory.error.empty()) error = "memory: " + memory.error;
    }

    template <class Accept>
    void drain(unsigned index, Accept accept) {
        Stream& s = outputs[index];
        if (s.stamps.empty()) return;
        accept(s.beats.data());  // one per cycle
        s.beats.clear();
        s.stamps.clear();
    }
#else
    void serve_memory() {}
    void fill_memory() {}
    bool wanted(unsigned index, uint64_t target) { return outputs[index].stamps.size() < target; }
#endif
};

Stream& stream_of(Simulation* s, int output, unsigned index) { return output ? s->outputs[index] : s->inputs[index]; }

}  // namespace

extern "C" {

Simulation* thresher_new(const char* trace_path) { return new Simulation(trace_path); }

void thresher_delete(Simulation* s) { delete s; }

void thresher_reset(Simulation* s) { s->reset(); }

void thresher_abort(Simulation* s) { s->abort(); }

uint64_t thresher_cycle(const Simulation* s) { return s->cycle; }

const char* thresher_error(const Simulation* s) { return s->error.c_str(); }

void thresher_stall(Simulation* s, int output, unsigned index, uint64_t stall_below, uint64_t seed) {
    Stream& stream = stream_of(s, output, index);
    stream.stall_below = stall_below;
    stream.random.state = seed;
}

void thresher_set(Simulation* s, unsigned index, const uint32_t* words) {
    (void)words;
#define X(i, name, width) \
    if (index == i) load(s->top->name, words);
    PLAIN_INPUTS(X)
#undef X
}

void thresher_push(Simulation* s, unsigned index, const uint32_t* words, uint64_t beats) {
    Stream& stream = s->inputs[index];
    stream.beats.insert(stream.beats.end(), words, words + beats * stream.words);
}

int thresher_run(Simulation* s, const uint64_t* targets, uint64_t limit) { return s->run(targets, limit); }

uint64_t thresher_transfers(Simulation* s, int output, unsigned index) {
    return stream_of(s, output, index).stamps.size();
}

// Hands over the transfers since the last call and forgets them; `words` is for outputs only.
void thresher_take(Simulation* s, int output, unsigned index, uint32_t* words, uint64_t* stamps) {
    Stream& stream = stream_of(s, output, index);
    std::memcpy(stamps, stream.stamps.data(), stream.stamps.size() * sizeof(uint64_t));
    stream.stamps.clear();
    if (output) {
        std::memcpy(words, stream.beats.data(), stream.beats.size() * sizeof(uint32_t));
        stream.beats.clear();
    }
}

// The caller owns the bytes, which must outlive the simulation. A latency between `least` and `most` cycles is chosen
// for each burst.
void thresher_memory(Simulation* s, uint8_t* bytes, uint64_t size, uint64_t rate, uint64_t least, uint64_t most,
                     uint64_t seed) {
    s->memory.bytes = bytes;
    s->memory.size = size;
    s->memory.rate = rate;
    s->memory.least = least;
    s->memory.most = most;
    s->memory.seed(seed);
}

void thresher_memory_errors(Simulation* s, uint64_t start, uint64_t end) {
    s->memory.error_start = start;
    s->memory.error_end = end;
}

// Words read and written since reset, and whether nothing is outstanding.
void thresher_memory_state(const Simulation* s, uint64_t* state) {
    state[0] = s->memory.words_read;
    state[1] = s->memory.words_written;
    state[2] = s->memory.idle();
}

// Count the asserted bits of an output, and record the cycles in which a bit of `mask` is asserted.
void thresher_probe(Simulation* s, unsigned index, uint64_t mask) {
    s->probing = true;
    s->probes[index].mask = mask;
}

void thresher_ones(const Simulation* s, unsigned index, uint64_t* ones) {
    std::memcpy(ones, s->probes[index].ones, sizeof s->probes[index].ones);
}

uint64_t thresher_events(const Simulation* s, unsigned index) { return s->probes[index].cycles.size(); }

// Hands over the recorded cycles, and forgets them and the counts.
void thresher_take_events(Simulation* s, unsigned index, uint64_t* cycles, uint64_t* values) {
    Probe& probe = s->probes[index];
    std::memcpy(cycles, probe.cycles.data(), probe.cycles.size() * sizeof(uint64_t));
    std::memcpy(values, probe.values.data(), probe.values.size() * sizeof(uint64_t));
    probe.clear();
}
}
