/* Driver of a Thresher co-processor: load a compiled encoder, run it, read counters and faults.

   It needs no library and allocates no memory. The platform gives access to the registers and to a part of the
   memory. All functions but thresher_text return THRESHER_OK or an error. Calls for one co-processor must not overlap:
   a host with threads, or a handler of interrupts, takes care of that. */

#ifndef THRESHER_H
#define THRESHER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum thresher_error {
    THRESHER_OK = 0,
    THRESHER_ERROR_BUS,       /* the platform could not access a register or the memory */
    THRESHER_ERROR_DEVICE,    /* no co-processor at this address, or other registers */
    THRESHER_ERROR_HASH,      /* the image is for another configuration */
    THRESHER_ERROR_IMAGE,     /* no image, or truncated, or altered */
    THRESHER_ERROR_MEMORY,    /* the memory is too small, or does not begin at a multiple of 128 */
    THRESHER_ERROR_BUSY,      /* a program runs, or the memory has not answered all of its transfers */
    THRESHER_ERROR_UNLOADED,  /* no image is loaded */
    THRESHER_ERROR_SIZE,      /* input or output has another size than the image says */
    THRESHER_ERROR_TIMEOUT,   /* the program took too long and was aborted */
    THRESHER_ERROR_FAULT,     /* the program stopped; see thresher_get_fault */
    THRESHER_ERROR_STUCK,     /* the program took too long, was aborted, and did not stop */
    THRESHER_ERROR_NO_RUN     /* no program has ended: none was started, or the co-processor was reset */
};

/* Ends of a program, as bits. */
enum thresher_event { THRESHER_EVENT_FINISHED = 1 /* without a fault */, THRESHER_EVENT_FAULT = 2 };

enum thresher_region { THRESHER_CONSTANTS, THRESHER_SCRATCH, THRESHER_INPUT, THRESHER_OUTPUT, THRESHER_REGIONS };

/* What the platform provides. The functions return 0, or another number if the access fails.

   Registers are numbers of the host's byte order: a host with the highest byte first swaps them. With caches,
   write_memory also writes them back, and read_memory invalidates them. Both end with a barrier, so that accesses to
   registers and memory take place in the order of the calls. */
struct thresher_platform {
    void *context; /* passed to the functions */
    int (*read_register)(void *context, uint32_t offset, uint32_t *value);
    int (*write_register)(void *context, uint32_t offset, uint32_t value);
    int (*write_memory)(void *context, uint32_t address, const uint8_t *data, size_t bytes);
    int (*read_memory)(void *context, uint32_t address, uint8_t *data, size_t bytes);
    uint32_t base; /* the memory that the co-processor may use, as its bus sees it */
    uint64_t size;
    void (*pause)(void *context); /* between two reads of the status; may be NULL */
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

/* Write the region INPUT, run the program with thresher_wait, and read the region OUTPUT. */
int thresher_run(struct thresher *device, const uint8_t *input, size_t input_bytes, uint8_t *output,
                 size_t output_bytes, uint32_t polls);

/* The parts of thresher_run, for hosts that wait for the interrupt. thresher_read_output reads nothing unless the last
   program has ended without a fault.

   thresher_wait reads the status at most `polls` times, but at least once. If the program has not ended then, it is
   aborted, and the status is read at most 100,000 times more, without pauses, until it has stopped. If it ended by
   itself before the abort, its own end is returned. */
int thresher_write_input(struct thresher *device, const uint8_t *input, size_t bytes);
int thresher_start(struct thresher *device);
int thresher_wait(struct thresher *device, uint32_t polls);
int thresher_read_output(struct thresher *device, uint8_t *output, size_t bytes);

/* THRESHER_OK if no program runs and no transfer on the memory bus is outstanding, or THRESHER_ERROR_BUSY. */
int thresher_idle(struct thresher *device);

/* The set of enum thresher_event that assert the interrupt. thresher_acknowledge_interrupts gives those that are
   pending, and clears them. */
int thresher_enable_interrupts(struct thresher *device, uint32_t events);
int thresher_acknowledge_interrupts(struct thresher *device, uint32_t *events);

/* Ask the running program to end with the fault ABORT. thresher_wait waits for its end. */
int thresher_abort(struct thresher *device);

/* Most cycles between completed instructions; 0 for no limit. The co-processor must be idle. */
int thresher_set_watchdog(struct thresher *device, uint32_t cycles);

int thresher_get_fault(struct thresher *device, struct thresher_fault *fault);
int thresher_get_counters(struct thresher *device, struct thresher_counters *counters);

/* An error in words. */
const char *thresher_text(int error);

#ifdef __cplusplus
}
#endif

#endif
