#include "thresher.h"

#include "thresher_registers.h"

/* Header of an image: bytes, and where its numbers lie. */
#define HEADER_BYTES 128u
#define HEADER_CRC 124u
#define IMAGE_MAGIC 0x49524854u /* "THRI" */
#define IMAGE_VERSION 1u
enum { MAGIC = 0, VERSION = 4, HASH_LOW = 8, HASH_HIGH = 12, SIZES = 16, PROGRAM = 32, INSTRUCTIONS = 36, DATA_CRC = 40 };

#define ALIGNMENT 128u /* of a region */
#define REGION_BYTES 0x40000000u
#define WORD_BYTES 8u
#define INSTRUCTION_BYTES 64u
#define INSTRUCTIONS_MAX 0xffffu
#define STOP_POLLS 100000u /* more reads than an abort takes cycles, without the last words of the memory */
#define FIELD(word, name) (((word) & name##_MASK) >> name##_SHIFT)

/* Return the error of an expression, if it has one. */
#define TRY(expression)                                 \
    do {                                                \
        int error_ = (expression);                      \
        if (error_ != THRESHER_OK) return error_;       \
    } while (0)

static int get(const struct thresher *device, uint32_t offset, uint32_t *value) {
    const struct thresher_platform *platform = device->platform;
    return platform->read_register(platform->context, offset, value) ? THRESHER_ERROR_BUS : THRESHER_OK;
}

static int set(const struct thresher *device, uint32_t offset, uint32_t value) {
    const struct thresher_platform *platform = device->platform;
    return platform->write_register(platform->context, offset, value) ? THRESHER_ERROR_BUS : THRESHER_OK;
}

static uint32_t number(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* CRC-32 of IEEE 802.3, as in zlib. Half a byte at a time: a table of 16 numbers. */
static uint32_t crc(const uint8_t *bytes, size_t count) {
    static const uint32_t table[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
                                       0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
                                       0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    uint32_t value = ~(uint32_t)0;
    while (count--) {
        value ^= *bytes++;
        value = value >> 4 ^ table[value & 15u];
        value = value >> 4 ^ table[value & 15u];
    }
    return ~value;
}

int thresher_idle(struct thresher *device) {
    uint32_t status;
    TRY(get(device, THRESHER_STATUS, &status));
    return status & THRESHER_STATUS_IDLE_MASK ? THRESHER_OK : THRESHER_ERROR_BUSY;
}

/* How the last program ended. */
static int outcome(uint32_t status) {
    if (status & THRESHER_STATUS_BUSY_MASK) return THRESHER_ERROR_BUSY;
    if (status & THRESHER_STATUS_FAULT_MASK) return THRESHER_ERROR_FAULT;
    return status & THRESHER_STATUS_FINISHED_MASK ? THRESHER_OK : THRESHER_ERROR_NO_RUN;
}

int thresher_open(struct thresher *device, const struct thresher_platform *platform) {
    uint32_t identity, version;
    device->platform = platform;
    device->loaded = 0;
    TRY(get(device, THRESHER_IDENTITY, &identity));
    if (identity != THRESHER_IDENTITY_VALUE_RESET) return THRESHER_ERROR_DEVICE;
    TRY(get(device, THRESHER_VERSION, &version));
    if (FIELD(version, THRESHER_VERSION_MAJOR) != THRESHER_VERSION_MAJOR_RESET) return THRESHER_ERROR_DEVICE;
    if (platform->base % ALIGNMENT) return THRESHER_ERROR_MEMORY;
    if (platform->size > ((uint64_t)1 << 32) - platform->base) return THRESHER_ERROR_MEMORY;
    return THRESHER_OK;
}

/* Whether the program lies in the region CONSTANTS, whose highest two bits of an address are 0. */
static int check_program(uint32_t program, uint32_t instructions, uint32_t size) {
    if (program % WORD_BYTES || instructions < 1 || instructions > INSTRUCTIONS_MAX) return THRESHER_ERROR_IMAGE;
    return program + (uint64_t)INSTRUCTION_BYTES * instructions > size ? THRESHER_ERROR_IMAGE : THRESHER_OK;
}

static int check_image(const uint8_t *image, size_t bytes) {
    int region;
    if (bytes < HEADER_BYTES || number(image + MAGIC) != IMAGE_MAGIC) return THRESHER_ERROR_IMAGE;
    if (crc(image, HEADER_CRC) != number(image + HEADER_CRC)) return THRESHER_ERROR_IMAGE;
    if (number(image + VERSION) != IMAGE_VERSION) return THRESHER_ERROR_IMAGE;
    if (bytes - HEADER_BYTES != number(image + SIZES)) return THRESHER_ERROR_IMAGE;
    for (region = 0; region < THRESHER_REGIONS; ++region) {
        const uint32_t size = number(image + SIZES + 4 * region);
        if (size > REGION_BYTES || size % WORD_BYTES) return THRESHER_ERROR_IMAGE;
    }
    TRY(check_program(number(image + PROGRAM), number(image + INSTRUCTIONS), number(image + SIZES)));
    if (crc(image + HEADER_BYTES, bytes - HEADER_BYTES) != number(image + DATA_CRC)) return THRESHER_ERROR_IMAGE;
    return THRESHER_OK;
}

int thresher_load(struct thresher *device, const uint8_t *image, size_t bytes) {
    const struct thresher_platform *platform = device->platform;
    uint64_t used = 0;
    uint32_t low, high;
    int region;
    TRY(check_image(image, bytes));
    for (region = 0; region < THRESHER_REGIONS; ++region)
        used += ((uint64_t)number(image + SIZES + 4 * region) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (used > platform->size) return THRESHER_ERROR_MEMORY;
    TRY(get(device, THRESHER_HASH_LOW, &low));
    TRY(get(device, THRESHER_HASH_HIGH, &high));
    if (low != number(image + HASH_LOW) || high != number(image + HASH_HIGH)) return THRESHER_ERROR_HASH;
    TRY(thresher_idle(device));
    device->loaded = 0;
    used = 0;
    for (region = 0; region < THRESHER_REGIONS; ++region) {
        const uint32_t size = number(image + SIZES + 4 * region);
        device->bases[region] = platform->base + (uint32_t)used;
        device->sizes[region] = size;
        used += ((uint64_t)size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        TRY(set(device, THRESHER_CONSTANTS_BASE + 8u * (uint32_t)region, device->bases[region]));
        TRY(set(device, THRESHER_CONSTANTS_SIZE + 8u * (uint32_t)region, size));
    }
    if (platform->write_memory(platform->context, device->bases[THRESHER_CONSTANTS], image + HEADER_BYTES,
                               bytes - HEADER_BYTES))
        return THRESHER_ERROR_BUS;
    TRY(set(device, THRESHER_PROGRAM_ADDRESS, number(image + PROGRAM)));
    TRY(set(device, THRESHER_PROGRAM_INSTRUCTIONS, number(image + INSTRUCTIONS)));
    device->loaded = 1;
    return THRESHER_OK;
}

int thresher_write_input(struct thresher *device, const uint8_t *input, size_t bytes) {
    const struct thresher_platform *platform = device->platform;
    if (!device->loaded) return THRESHER_ERROR_UNLOADED;
    if (bytes != device->sizes[THRESHER_INPUT]) return THRESHER_ERROR_SIZE;
    TRY(thresher_idle(device));
    return platform->write_memory(platform->context, device->bases[THRESHER_INPUT], input, bytes) ? THRESHER_ERROR_BUS
                                                                                                 : THRESHER_OK;
}

int thresher_read_output(struct thresher *device, uint8_t *output, size_t bytes) {
    const struct thresher_platform *platform = device->platform;
    uint32_t status;
    if (!device->loaded) return THRESHER_ERROR_UNLOADED;
    if (bytes != device->sizes[THRESHER_OUTPUT]) return THRESHER_ERROR_SIZE;
    TRY(get(device, THRESHER_STATUS, &status));
    TRY(outcome(status));
    return platform->read_memory(platform->context, device->bases[THRESHER_OUTPUT], output, bytes) ? THRESHER_ERROR_BUS
                                                                                                  : THRESHER_OK;
}

int thresher_start(struct thresher *device) {
    if (!device->loaded) return THRESHER_ERROR_UNLOADED;
    TRY(thresher_idle(device));
    TRY(set(device, THRESHER_INTERRUPT_PENDING,
            THRESHER_INTERRUPT_PENDING_FINISHED_MASK | THRESHER_INTERRUPT_PENDING_FAULT_MASK));
    return set(device, THRESHER_CONTROL, THRESHER_CONTROL_START_MASK);
}

/* Read the status at most `polls` times, but at least once, until no program runs. */
static int wait_for_end(const struct thresher *device, uint32_t polls, int pauses, uint32_t *status) {
    const struct thresher_platform *platform = device->platform;
    for (;;) {
        TRY(get(device, THRESHER_STATUS, status));
        if (!(*status & THRESHER_STATUS_BUSY_MASK)) return THRESHER_OK;
        if (polls <= 1) return THRESHER_ERROR_TIMEOUT;
        --polls;
        if (pauses && platform->pause) platform->pause(platform->context);
    }
}

int thresher_wait(struct thresher *device, uint32_t polls) {
    uint32_t status, reason;
    int error = wait_for_end(device, polls, 1, &status);
    if (error != THRESHER_ERROR_TIMEOUT) return error ? error : outcome(status);
    TRY(thresher_abort(device));
    error = wait_for_end(device, STOP_POLLS, 0, &status);
    if (error) return error == THRESHER_ERROR_TIMEOUT ? THRESHER_ERROR_STUCK : error;
    TRY(get(device, THRESHER_FAULT, &reason));
    /* It may have ended by itself before the abort. */
    return FIELD(reason, THRESHER_FAULT_CODE) == THRESHER_FAULT_CODE_ABORT ? THRESHER_ERROR_TIMEOUT : outcome(status);
}

int thresher_run(struct thresher *device, const uint8_t *input, size_t input_bytes, uint8_t *output,
                 size_t output_bytes, uint32_t polls) {
    if (!device->loaded) return THRESHER_ERROR_UNLOADED;
    if (output_bytes != device->sizes[THRESHER_OUTPUT]) return THRESHER_ERROR_SIZE;
    TRY(thresher_write_input(device, input, input_bytes));
    TRY(thresher_start(device));
    TRY(thresher_wait(device, polls));
    return thresher_read_output(device, output, output_bytes);
}

int thresher_enable_interrupts(struct thresher *device, uint32_t events) {
    return set(device, THRESHER_INTERRUPT_ENABLE, events);
}

int thresher_acknowledge_interrupts(struct thresher *device, uint32_t *events) {
    TRY(get(device, THRESHER_INTERRUPT_PENDING, events));
    return set(device, THRESHER_INTERRUPT_PENDING, *events);
}

int thresher_abort(struct thresher *device) { return set(device, THRESHER_CONTROL, THRESHER_CONTROL_ABORT_MASK); }

int thresher_set_watchdog(struct thresher *device, uint32_t cycles) {
    TRY(thresher_idle(device));
    return set(device, THRESHER_WATCHDOG, cycles);
}

int thresher_get_fault(struct thresher *device, struct thresher_fault *fault) {
    uint32_t reason, instruction;
    TRY(get(device, THRESHER_FAULT, &reason));
    TRY(get(device, THRESHER_FAULT_INSTRUCTION, &instruction));
    fault->error = FIELD(reason, THRESHER_FAULT_CODE);
    fault->unit = FIELD(reason, THRESHER_FAULT_UNIT);
    fault->detail = FIELD(reason, THRESHER_FAULT_DETAIL);
    fault->instruction = FIELD(instruction, THRESHER_FAULT_INSTRUCTION_INDEX);
    fault->tag = FIELD(instruction, THRESHER_FAULT_INSTRUCTION_TAG);
    return get(device, THRESHER_FAULT_ADDRESS, &fault->address);
}

int thresher_get_counters(struct thresher *device, struct thresher_counters *counters) {
    TRY(get(device, THRESHER_CYCLES, &counters->cycles));
    TRY(get(device, THRESHER_WORDS_READ, &counters->words_read));
    TRY(get(device, THRESHER_WORDS_WRITTEN, &counters->words_written));
    TRY(get(device, THRESHER_PRODUCT_BUSY, &counters->product.busy));
    TRY(get(device, THRESHER_PRODUCT_WAITING, &counters->product.waiting));
    TRY(get(device, THRESHER_PRODUCT_STARVED, &counters->product.starved));
    TRY(get(device, THRESHER_PRODUCT_COMPLETED, &counters->product.completed));
    TRY(get(device, THRESHER_ATTENTION_BUSY, &counters->attention.busy));
    TRY(get(device, THRESHER_ATTENTION_WAITING, &counters->attention.waiting));
    TRY(get(device, THRESHER_ATTENTION_STARVED, &counters->attention.starved));
    TRY(get(device, THRESHER_ATTENTION_COMPLETED, &counters->attention.completed));
    TRY(get(device, THRESHER_VECTOR_BUSY, &counters->vector.busy));
    TRY(get(device, THRESHER_VECTOR_WAITING, &counters->vector.waiting));
    TRY(get(device, THRESHER_VECTOR_STARVED, &counters->vector.starved));
    return get(device, THRESHER_VECTOR_COMPLETED, &counters->vector.completed);
}

const char *thresher_text(int error) {
    static const char *const texts[] = {
        "no error",
        "the platform could not access the device",
        "there is no co-processor of this version at this address",
        "the image is for another configuration: compile the model for this one",
        "this is no image of an encoder, or it is truncated or altered: copy it again",
        "the memory is too small for the image, or does not begin at a multiple of 128",
        "the co-processor is busy",
        "no image is loaded",
        "input or output has another size than the image says",
        "the program took too long and was aborted",
        "the program stopped with a fault",
        "the program took too long, was aborted, and did not stop: reset the co-processor",
        "no program has ended: start one, or load the image again if the co-processor was reset",
    };
    return error >= 0 && (size_t)error < sizeof texts / sizeof *texts ? texts[error] : "unknown error";
}
