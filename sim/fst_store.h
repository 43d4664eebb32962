// Stands in for lz4.h and zlib.h when Verilator's writer of FST waveforms is compiled: stores where these libraries
// would compress. So FST needs no development packages of the system, and its files are valid for every reader.

#ifndef THRESHER_FST_STORE_H
#define THRESHER_FST_STORE_H

#include <cstring>

typedef unsigned char Bytef;
typedef unsigned long uLong;
typedef unsigned long uLongf;

#define Z_OK 0

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

// One LZ4 sequence that holds everything as literals: a token, their number in steps of 255, and the literals.
inline int LZ4_compress_default(const char* source, char* target, int size, int) {
    unsigned char* out = reinterpret_cast<unsigned char*>(target);
    *out++ = (unsigned char)((size < 15 ? size : 15) << 4);
    if (size >= 15) {
        int rest = size - 15;
        for (; rest >= 255; rest -= 255) *out++ = 255;
        *out++ = (unsigned char)rest;
    }
    std::memcpy(out, source, size);
    return int(out - reinterpret_cast<unsigned char*>(target)) + size;
}

inline uLong compressBound(uLong size) { return size; }

// The writer keeps the original where compression does not make it smaller, and this never does.
inline int compress2(Bytef* target, uLongf* target_size, const Bytef* source, uLong size, int) {
    std::memcpy(target, source, size);
    *target_size = size;
    return Z_OK;
}

#endif
