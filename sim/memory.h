// A memory behind the port `memory` of a component: the streams read, read_data, write, write_data and written.
//
// It accepts bursts as fast as its stalls allow and answers in order. A write changes the bytes when it is acknowledged,
// not before. Reads and writes together move at most `rate` bytes per cycle.

#ifndef THRESHER_MEMORY_H
#define THRESHER_MEMORY_H

#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

struct Memory {
    static constexpr uint64_t WORD = 8, BLOCK = 16 * WORD;

    struct Burst {
        uint64_t address, words;
    };
    struct Beat {
        uint64_t due, address;
        bool last;
    };
    struct Answer {
        uint64_t due, address;
        std::vector<uint64_t> words;
    };

    uint8_t* bytes = nullptr;
    uint64_t size = 0;
    uint64_t least = 1, most = 1;               // latency in cycles
    uint64_t rate = 2 * WORD;                   // bytes per cycle, at most two words
    uint64_t error_start = 0, error_end = 0;    // addresses that cannot be read or written
    uint64_t words_read = 0, words_written = 0;
    std::string error;

    void reset() {
        beats.clear();
        open.clear();
        words.clear();
        answers.clear();
        credit = words_read = words_written = 0;
        error.clear();
    }

    void seed(uint64_t value) { random = value; }

    // Starts a cycle. Whole words that were not moved in earlier cycles are lost. If a word waits to be written, reads
    // and writes take turns.
    void begin(uint64_t now, bool word_waits) {
        cycle = now;
        const uint64_t kept = rate < WORD ? WORD - rate : credit % WORD;
        credit = (credit < WORD ? credit : kept) + rate;
        turn_of_writes = word_waits && !turn_of_writes;
    }

    bool can_write() const { return credit >= WORD; }
    bool can_read() const {
        const bool due = !beats.empty() && beats.front().due <= cycle;
        return due && credit >= (turn_of_writes ? 2 * WORD : WORD);
    }
    bool written_due() const { return !answers.empty() && answers.front().due <= cycle; }

    // The next word that was read, as a payload: 64 bits, last, error.
    void read(uint32_t payload[3]) {
        const Beat beat = beats.front();
        beats.pop_front();
        const bool failed = fails(beat.address);
        uint64_t word = 0;
        if (!failed) std::memcpy(&word, bytes + beat.address, WORD);
        payload[0] = uint32_t(word);
        payload[1] = uint32_t(word >> 32);
        payload[2] = uint32_t(beat.last) | uint32_t(failed) << 1;
        credit -= WORD;
        ++words_read;
    }

    // The next acknowledgement: whether the write failed.
    uint32_t written() {
        const Answer answer = answers.front();
        answers.pop_front();
        uint32_t failed = 0;
        for (std::size_t i = 0; i < answer.words.size(); ++i) {
            const uint64_t address = answer.address + i * WORD;
            if (fails(address)) failed = 1;
            else std::memcpy(bytes + address, &answer.words[i], WORD);
        }
        return failed;
    }

    void accept_read(const uint32_t* payload) {
        const Burst burst = checked("read", payload);
        if (!error.empty()) return;
        const uint64_t due = cycle + latency();
        for (uint64_t i = 0; i < burst.words; ++i) beats.push_back({due, burst.address + i * WORD, i + 1 == burst.words});
    }

    void accept_write(const uint32_t* payload) {
        const Burst burst = checked("write", payload);
        if (error.empty()) open.push_back(burst);
        match();
    }

    void accept_word(const uint32_t* payload) {
        words.push_back(uint64_t(payload[1]) << 32 | payload[0]);
        credit -= WORD;
        ++words_written;
        match();
    }

    // No burst is outstanding, and no word waits for its burst.
    bool idle() const { return beats.empty() && open.empty() && words.empty() && answers.empty(); }

private:
    std::deque<Beat> beats;
    std::deque<Burst> open;      // writes that wait for words
    std::deque<uint64_t> words;  // words that wait for their write
    std::deque<Answer> answers;
    uint64_t credit = 0, cycle = 0, random = 0;
    bool turn_of_writes = false;

    bool fails(uint64_t address) const { return error_start <= address && address < error_end; }

    uint64_t latency() {
        if (most <= least) return least;
        random = random * 6364136223846793005u + 1442695040888963407u;
        return least + (random >> 33) % (most - least + 1);
    }

    Burst checked(const char* name, const uint32_t* payload) {
        const Burst burst{payload[0], payload[1]};
        const uint64_t offset = burst.address % BLOCK;
        const char* broken = nullptr;
        if (burst.address % WORD) broken = "an address that is no multiple of a word";
        else if (!burst.words || offset + burst.words * WORD > BLOCK) broken = "words that are not in one block";
        else if (burst.address + burst.words * WORD > size) broken = "words outside the memory";
        if (broken) error = std::string(name) + " of " + broken + ", address " + std::to_string(burst.address);
        return burst;
    }

    void match() {
        while (!open.empty() && words.size() >= open.front().words) {
            const Burst burst = open.front();
            open.pop_front();
            answers.push_back({cycle + latency(), burst.address, {words.begin(), words.begin() + burst.words}});
            words.erase(words.begin(), words.begin() + burst.words);
        }
    }
};

#endif
