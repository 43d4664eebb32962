/* Driver of a Thresher co-processor: load a compiled encoder, run it, read counters and faults.

   It needs no library and allocates no memory. The platform gives access to the registers and to a part of the
   memory. All functions but thresher_text return THRESHER_OK or an error. */

#ifndef THRESHER_H
#define THRESHER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum thresher_error {
    THRESHER_OK = 0,
    THRESHER_ERROR_BUS,       /* the platform could not read or write a register */
    THRESHER_ERROR_DEVICE,    /* no co-processor at this address, or other registers */
    THRESHER_ERROR_HASH,      /* the image is for another configuration */
    THRESHER_ERROR_IMAGE,     /* no image, or truncated, or altered */
    THRESHER_ERROR_MEMORY,    /* the memory is too small, or does not begin at a multiple of 128 */
    THRESHER_ERROR_BUSY,      /* a program runs */
    THRESHER_ERROR_UNLOADED,  /* no image is loaded */
    THRESHER_ERROR_SIZE,      /* input or output has another size than the image says */
    THRESHER_ERROR_TIMEOUT,   /* the program took too long and was aborted */
    THRESHER_ERROR_FAULT      /* the program stopped; see thresher_get_fault */
};

enum thresher_region { THRESHER_CONSTANTS, THRESHER_SCRATCH, THRESHER_INPUT, THRESHER_OUTPUT, THRESHER_REGIONS };

/* What the platform provides. The functions return 0, or another number if the access fails. */
struct thresher_platform {
    void *context; /* passed to the functions */
    int (*read_register)(void *context, uint32_t offset, uint32_t *value);
    int (*write_register)(void *context, uint32_t offset, uint32_t value);
    int (*write_memory)(void *context, uint32_t address, const uint8_t *data, size_t bytes);
    int (*read_memory)(void *context, uint32_t address, uint8_t *data, size_t bytes);
    uint32_t base; /* the memory that the co-processor may use, as its bus sees it */
    uint64_t size;
};

struct thresher {
    const struct thresher_platform *platform;
    int loaded;
    uint32_t bases[THRESHER_REGIONS];
    uint32_t sizes[THRESHER_REGIONS];
};

/* Why a program stopped. The numbers are those of the registers FAULT, FAULT_INSTRUCTION and FAULT_ADDRESS. */
struct thresher_fault {
    uint32_t error, unit, detail, instruction, tag, address;
};

struct thresher_counters {
    uint32_t cycles, words_read, words_written;
    struct {
        uint32_t busy, waiting, starved, completed;
    } product, attention, vector;
};

/* Find the co-processor. */
int thresher_open(struct thresher *device, const struct thresher_platform *platform);

/* Load the image that `thresher compile` writes. A bad image is refused before anything is sent. */
int thresher_load(struct thresher *device, const uint8_t *image, size_t bytes);

/* Write the region INPUT, run the program, and read the region OUTPUT. The status is read at most `polls` times. */
int thresher_run(struct thresher *device, const uint8_t *input, size_t input_bytes, uint8_t *output,
                 size_t output_bytes, uint32_t polls);

/* The parts of thresher_run, for hosts that wait for the interrupt. */
int thresher_write_input(struct thresher *device, const uint8_t *input, size_t bytes);
int thresher_start(struct thresher *device);
int thresher_wait(struct thresher *device, uint32_t polls);
int thresher_read_output(struct thresher *device, uint8_t *output, size_t bytes);

/* Events that assert the interrupt: bit 0, a program ended; bit 1, a program stopped with a fault. */
int thresher_enable_interrupts(struct thresher *device, uint32_t events);
int thresher_acknowledge_interrupts(struct thresher *device, uint32_t *events);

/* End the running program with the fault ABORT. */
int thresher_abort(struct thresher *device);

/* Most cycles between completed instructions; 0 for no limit. */
int thresher_set_watchdog(struct thresher *device, uint32_t cycles);

int thresher_get_fault(struct thresher *device, struct thresher_fault *fault);
int thresher_get_counters(struct thresher *device, struct thresher_counters *counters);

/* An error in words. */
const char *thresher_text(int error);

#ifdef __cplusplus
}
#endif

#endif
