/* Generated from protocols/messages.yaml by protocols.codegen; do not edit. */
/* clang-format off */

#ifndef MESSAGES_H
#define MESSAGES_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

#define MSG_PROTOCOL_VERSION 2u
#define MSG_FINGERPRINT 0xdbe08d4eu
#define MSG_PAYLOAD_BYTES 220u
#define MSG_COUNT 26u

/* What a pulse is for; each operation has its own limits. */
enum { OPERATION_SET = 0, OPERATION_RESET = 1, OPERATION_FORM = 2 };

/* Why the outputs are at their safe values. */
enum { SAFE_REASON_NONE = 0, SAFE_REASON_POWER_UP = 1, SAFE_REASON_STOP = 2, SAFE_REASON_WATCHDOG = 3, SAFE_REASON_ARM_TIMEOUT = 4, SAFE_REASON_FAULT = 5, SAFE_REASON_INTERLOCK = 6, SAFE_REASON_DISARM = 7 };

/* Where the run sequencer stands. */
enum { RUN_STATE_IDLE = 0, RUN_STATE_RUNNING = 1, RUN_STATE_DONE = 2, RUN_STATE_ABORTED = 3, RUN_STATE_LATE = 4 };

/* What the board runs on. */
enum { PORT_SIM = 0, PORT_HOST = 1, PORT_STM32F407 = 2, PORT_QEMU = 3 };

/* Where the noise of a run comes from. */
enum { NOISE_NONE = 0, NOISE_SEEDED = 1, NOISE_HARDWARE = 2 };

/* What a run still needs. */
enum { PART_WAVEFORMS = 0, PART_LAYERS = 1, PART_INITIAL_CONDITIONS = 2, PART_SAMPLES = 3 };

/* What a loop-back puts on the calibration line. A reference is a tap of the voltage ladder. */
enum { LOOP_SOURCE_REFERENCE = 0, LOOP_SOURCE_BIT_LINE = 1, LOOP_SOURCE_SOURCE_LINE = 2, LOOP_SOURCE_WORD_LINE = 3, LOOP_SOURCE_INITIAL_1 = 4, LOOP_SOURCE_INITIAL_2 = 5, LOOP_SOURCE_DRIFT = 6, LOOP_SOURCE_SCORE = 7, LOOP_SOURCE_NOISE_1 = 8, LOOP_SOURCE_NOISE_2 = 9, LOOP_SOURCE_EMBEDDING_1 = 10, LOOP_SOURCE_EMBEDDING_2 = 11, LOOP_SOURCE_EMBEDDING_3 = 12, LOOP_SOURCE_EMBEDDING_4 = 13, LOOP_SOURCE_EMBEDDING_5 = 14, LOOP_SOURCE_EMBEDDING_6 = 15, LOOP_SOURCE_EMBEDDING_7 = 16, LOOP_SOURCE_EMBEDDING_8 = 17, LOOP_SOURCE_EMBEDDING_9 = 18, LOOP_SOURCE_EMBEDDING_10 = 19, LOOP_SOURCE_EMBEDDING_11 = 20, LOOP_SOURCE_EMBEDDING_12 = 21, LOOP_SOURCE_EMBEDDING_13 = 22, LOOP_SOURCE_EMBEDDING_14 = 23 };

/* Which input of the ADC converts. */
enum { ADC_INPUT_READ = 0, ADC_INPUT_SAMPLE_1 = 1, ADC_INPUT_SAMPLE_2 = 2, ADC_INPUT_PROBE = 3 };

/* A kind of line of the array. */
enum { ARRAY_LINE_BIT_LINE = 0, ARRAY_LINE_SOURCE_LINE = 1, ARRAY_LINE_WORD_LINE = 2 };

/* What is converted while one line is driven. The far end of a line, the driver's end, or the current of its cells. */
enum { LINE_PROBE_FAR_BIT_LINE = 0, LINE_PROBE_FAR_SOURCE_LINE = 1, LINE_PROBE_FAR_WORD_LINE = 2, LINE_PROBE_NEAR = 3, LINE_PROBE_CURRENT = 4 };

enum {
    MSG_HELLO = 0x01,
    MSG_STOP = 0x02,
    MSG_KEEP_ALIVE = 0x03,
    MSG_STATUS = 0x10,
    MSG_LIMITS_LOWER = 0x11,
    MSG_ARM = 0x12,
    MSG_DISARM = 0x13,
    MSG_SAFE_CLEAR = 0x14,
    MSG_PULSE_READ = 0x20,
    MSG_READ = 0x21,
    MSG_LOOPBACK = 0x22,
    MSG_READ_REFERENCE = 0x23,
    MSG_LINE_CHECK = 0x24,
    MSG_MULTIPLY = 0x25,
    MSG_WAVE_BEGIN = 0x30,
    MSG_WAVE_LOAD = 0x31,
    MSG_WAVE_CLASS = 0x32,
    MSG_WAVE_COMMIT = 0x33,
    MSG_LOOP_LAYER = 0x34,
    MSG_INITIAL = 0x35,
    MSG_PROBE = 0x36,
    MSG_RUN = 0x38,
    MSG_PROGRESS = 0x39,
    MSG_SAMPLES = 0x3a,
    MSG_TRACE = 0x3b,
    MSG_ADVANCE = 0x70,
};

enum {
    MSG_INDEX_HELLO,
    MSG_INDEX_STOP,
    MSG_INDEX_KEEP_ALIVE,
    MSG_INDEX_STATUS,
    MSG_INDEX_LIMITS_LOWER,
    MSG_INDEX_ARM,
    MSG_INDEX_DISARM,
    MSG_INDEX_SAFE_CLEAR,
    MSG_INDEX_PULSE_READ,
    MSG_INDEX_READ,
    MSG_INDEX_LOOPBACK,
    MSG_INDEX_READ_REFERENCE,
    MSG_INDEX_LINE_CHECK,
    MSG_INDEX_MULTIPLY,
    MSG_INDEX_WAVE_BEGIN,
    MSG_INDEX_WAVE_LOAD,
    MSG_INDEX_WAVE_CLASS,
    MSG_INDEX_WAVE_COMMIT,
    MSG_INDEX_LOOP_LAYER,
    MSG_INDEX_INITIAL,
    MSG_INDEX_PROBE,
    MSG_INDEX_RUN,
    MSG_INDEX_PROGRESS,
    MSG_INDEX_SAMPLES,
    MSG_INDEX_TRACE,
    MSG_INDEX_ADVANCE,
};

enum {
    STATUS_OK = 0, /* done */
    STATUS_UNKNOWN_CODE = 1, /* the board does not know message code {code}; board and host are of different versions */
    STATUS_BAD_LENGTH = 2, /* the payload has {length} bytes, the message needs {expected} */
    STATUS_OUT_OF_RANGE = 3, /* field {field_name} (entry {entry}) is {value}, allowed are {minimum} to {maximum} */
    STATUS_BAD_SEQUENCE = 4, /* the board expects sequence number {expected}; the request was not executed */
    STATUS_BAD_SESSION = 5, /* the session has ended (the board is in session {session}); open it again with hello */
    STATUS_NOT_ARMED = 6, /* voltages above the read level need an armed board; arm it first */
    STATUS_SAFE_STATE = 7, /* the board is in its safe state ({reason_name}); clear it before driving anything */
    STATUS_OVER_LIMIT = 8, /* field {field_name} of entry {entry} is {value}, the board's limit is {limit}; nothing of the batch was driven */
    STATUS_BUSY = 9, /* run {run_id} is in progress; wait for it or stop it */
    STATUS_NOT_READY = 10, /* a run still needs its {part_name}; load them first */
    STATUS_CRC_MISMATCH = 11, /* the stored waveforms have CRC {found:#010x}, the host announced {expected:#010x}; load them again */
    STATUS_PULSE_BUDGET = 12, /* the cell of entry {entry} has had {count} pulses of the {limit} that a session may give it; nothing of the batch was driven */
    STATUS_NOT_SUPPORTED = 13, /* this board cannot do that */
    STATUS_NO_DATA = 14, /* asked from position {first}, but only {available} are there */
    STATUS_INTERLOCK_OPEN = 15, /* the interlock is open; close it before driving anything above the read level */
    STATUS_FRONT_END = 16, /* the analog front end reported fault {detail}; outputs are at their safe values */
};
#define STATUS_BYTES_MAX 16u

enum { MSG_LEARN = 0, MSG_ACT = 1 };
enum { MSG_SESSION = 0, MSG_ANY = 1 };

/* The values that a field may have, where its type alone allows more. */
typedef struct {
    uint8_t field;  /* number of the field in its message or entry */
    uint8_t offset; /* bytes from the start of the fields or of the entry */
    uint8_t size;   /* bytes of one value */
    uint8_t count;
    int32_t minimum; /* negative: the values are signed */
    uint32_t maximum;
} msg_range_t;

typedef struct {
    uint8_t code;
    uint8_t kind;
    uint8_t scope;
    uint8_t head_bytes;           /* of the request's fixed fields */
    uint8_t entry_bytes;          /* 0: no entries */
    uint8_t response_head_bytes;  /* the status byte apart */
    uint8_t response_entry_bytes;
    uint8_t head_ranges;  /* how many */
    uint8_t entry_ranges;
    uint8_t first_range; /* head's, then the entry's, in MSG_RANGES */
} msg_info_t;

extern const msg_info_t MSG_TABLE[MSG_COUNT];
extern const msg_range_t MSG_RANGES[];


static inline size_t status_unknown_code(uint8_t *out, uint8_t code) {
    out[0] = STATUS_UNKNOWN_CODE;
    put_u8(out + 1, code);
    return 2;
}

static inline size_t status_bad_length(uint8_t *out, uint16_t length, uint16_t expected) {
    out[0] = STATUS_BAD_LENGTH;
    put_u16(out + 1, length);
    put_u16(out + 3, expected);
    return 5;
}

static inline size_t status_out_of_range(uint8_t *out, uint8_t field, uint16_t entry, int32_t value, int32_t minimum, int32_t maximum) {
    out[0] = STATUS_OUT_OF_RANGE;
    put_u8(out + 1, field);
    put_u16(out + 2, entry);
    put_u32(out + 4, (uint32_t)value);
    put_u32(out + 8, (uint32_t)minimum);
    put_u32(out + 12, (uint32_t)maximum);
    return 16;
}

static inline size_t status_bad_sequence(uint8_t *out, uint32_t expected) {
    out[0] = STATUS_BAD_SEQUENCE;
    put_u32(out + 1, expected);
    return 5;
}

static inline size_t status_bad_session(uint8_t *out, uint16_t session) {
    out[0] = STATUS_BAD_SESSION;
    put_u16(out + 1, session);
    return 3;
}


static inline size_t status_safe_state(uint8_t *out, uint8_t reason) {
    out[0] = STATUS_SAFE_STATE;
    put_u8(out + 1, reason);
    return 2;
}

static inline size_t status_over_limit(uint8_t *out, uint8_t field, uint16_t entry, uint32_t value, uint32_t limit) {
    out[0] = STATUS_OVER_LIMIT;
    put_u8(out + 1, field);
    put_u16(out + 2, entry);
    put_u32(out + 4, value);
    put_u32(out + 8, limit);
    return 12;
}

static inline size_t status_busy(uint8_t *out, uint16_t run_id) {
    out[0] = STATUS_BUSY;
    put_u16(out + 1, run_id);
    return 3;
}

static inline size_t status_not_ready(uint8_t *out, uint8_t part) {
    out[0] = STATUS_NOT_READY;
    put_u8(out + 1, part);
    return 2;
}

static inline size_t status_crc_mismatch(uint8_t *out, uint32_t expected, uint32_t found) {
    out[0] = STATUS_CRC_MISMATCH;
    put_u32(out + 1, expected);
    put_u32(out + 5, found);
    return 9;
}

static inline size_t status_pulse_budget(uint8_t *out, uint16_t entry, uint32_t count, uint32_t limit) {
    out[0] = STATUS_PULSE_BUDGET;
    put_u16(out + 1, entry);
    put_u32(out + 3, count);
    put_u32(out + 7, limit);
    return 11;
}


static inline size_t status_no_data(uint8_t *out, uint16_t first, uint16_t available) {
    out[0] = STATUS_NO_DATA;
    put_u16(out + 1, first);
    put_u16(out + 3, available);
    return 5;
}


static inline size_t status_front_end(uint8_t *out, uint16_t detail) {
    out[0] = STATUS_FRONT_END;
    put_u16(out + 1, detail);
    return 3;
}

/* hello: Opens a session and says who the board is. The same nonce gets the same session, so it may be repeated until answered. */
#define HELLO_REQUEST_BYTES 4u
typedef struct {
    uint32_t nonce;
} hello_request_t;
static inline void hello_request_unpack(const uint8_t *p, hello_request_t *out) {
    out->nonce = get_u32(p + 0);
}

#define HELLO_RESPONSE_BYTES 107u
typedef struct {
    uint32_t nonce;
    uint16_t session;
    uint16_t protocol_version;
    uint32_t fingerprint;
    uint8_t build[16];
    uint64_t board_serial;
    uint8_t port;
    uint8_t safe_reason;
    uint8_t window;
    uint16_t payload_bytes;
    uint16_t rows;
    uint16_t columns;
    uint16_t read_code_max; /* code */
    uint16_t multiply_code_max; /* code */
    uint16_t set_gate_max; /* code */
    uint16_t set_line_max; /* code */
    uint32_t set_width_max; /* ticks of 20 ns */
    uint16_t reset_gate_max; /* code */
    uint16_t reset_line_max; /* code */
    uint32_t reset_width_max; /* ticks of 20 ns */
    uint16_t form_gate_max; /* code */
    uint16_t form_line_max; /* code */
    uint32_t form_width_max; /* ticks of 20 ns */
    uint32_t set_energy_max; /* 1024 code^2 ticks */
    uint32_t reset_energy_max; /* 1024 code^2 ticks */
    uint32_t form_energy_max; /* 1024 code^2 ticks */
    uint32_t pulses_per_cell_max;
    uint32_t arm_ms_max; /* ms */
    uint32_t watchdog_ms; /* ms */
    uint32_t tick_us_min; /* us */
    uint16_t ticks_max; /* ticks */
    uint16_t trajectories_max;
    uint16_t trace_points_max;
} hello_response_t;
static inline void hello_response_pack(const hello_response_t *in, uint8_t *p) {
    put_u32(p + 0, in->nonce);
    put_u16(p + 4, in->session);
    put_u16(p + 6, in->protocol_version);
    put_u32(p + 8, in->fingerprint);
    for (size_t i = 0; i < 16; i++) { put_u8(p + 12 + i * 1, in->build[i]); }
    put_u64(p + 28, in->board_serial);
    put_u8(p + 36, in->port);
    put_u8(p + 37, in->safe_reason);
    put_u8(p + 38, in->window);
    put_u16(p + 39, in->payload_bytes);
    put_u16(p + 41, in->rows);
    put_u16(p + 43, in->columns);
    put_u16(p + 45, in->read_code_max);
    put_u16(p + 47, in->multiply_code_max);
    put_u16(p + 49, in->set_gate_max);
    put_u16(p + 51, in->set_line_max);
    put_u32(p + 53, in->set_width_max);
    put_u16(p + 57, in->reset_gate_max);
    put_u16(p + 59, in->reset_line_max);
    put_u32(p + 61, in->reset_width_max);
    put_u16(p + 65, in->form_gate_max);
    put_u16(p + 67, in->form_line_max);
    put_u32(p + 69, in->form_width_max);
    put_u32(p + 73, in->set_energy_max);
    put_u32(p + 77, in->reset_energy_max);
    put_u32(p + 81, in->form_energy_max);
    put_u32(p + 85, in->pulses_per_cell_max);
    put_u32(p + 89, in->arm_ms_max);
    put_u32(p + 93, in->watchdog_ms);
    put_u32(p + 97, in->tick_us_min);
    put_u16(p + 101, in->ticks_max);
    put_u16(p + 103, in->trajectories_max);
    put_u16(p + 105, in->trace_points_max);
}


/* stop: Puts every output to its safe value now. It needs no session, so anybody on the line can send it. */
#define STOP_RESPONSE_BYTES 1u
typedef struct {
    uint8_t safe_reason;
} stop_response_t;
static inline void stop_response_pack(const stop_response_t *in, uint8_t *p) {
    put_u8(p + 0, in->safe_reason);
}


/* keep_alive: Feeds the watchdog. */
#define KEEP_ALIVE_RESPONSE_BYTES 9u
typedef struct {
    uint64_t time_us; /* us */
    uint8_t safe_reason;
} keep_alive_response_t;
static inline void keep_alive_response_pack(const keep_alive_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->time_us);
    put_u8(p + 8, in->safe_reason);
}


/* status: The state of the board and its counters. */
#define STATUS_RESPONSE_BYTES 36u
typedef struct {
    uint64_t time_us; /* us */
    uint8_t safe_reason;
    uint32_t armed_ms; /* ms */
    uint8_t run_state;
    uint16_t run_id;
    uint32_t pulses;
    uint32_t reads;
    uint32_t frames;
    uint32_t dropped;
    uint32_t repeated;
} status_response_t;
static inline void status_response_pack(const status_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->time_us);
    put_u8(p + 8, in->safe_reason);
    put_u32(p + 9, in->armed_ms);
    put_u8(p + 13, in->run_state);
    put_u16(p + 14, in->run_id);
    put_u32(p + 16, in->pulses);
    put_u32(p + 20, in->reads);
    put_u32(p + 24, in->frames);
    put_u32(p + 28, in->dropped);
    put_u32(p + 32, in->repeated);
}


/* limits_lower: Lowers the limits of one operation, and the longest arming, for this session. A value above the limit in force is refused. */
#define LIMITS_LOWER_REQUEST_BYTES 21u
typedef struct {
    uint8_t operation;
    uint16_t gate_max; /* code */
    uint16_t line_max; /* code */
    uint32_t width_max; /* ticks of 20 ns */
    uint32_t pulses_per_cell_max;
    uint32_t energy_max; /* 1024 code^2 ticks */
    uint32_t arm_ms_max; /* ms */
} limits_lower_request_t;
static inline void limits_lower_request_unpack(const uint8_t *p, limits_lower_request_t *out) {
    out->operation = get_u8(p + 0);
    out->gate_max = get_u16(p + 1);
    out->line_max = get_u16(p + 3);
    out->width_max = get_u32(p + 5);
    out->pulses_per_cell_max = get_u32(p + 9);
    out->energy_max = get_u32(p + 13);
    out->arm_ms_max = get_u32(p + 17);
}


/* arm: Allows voltages above the read level for a time. */
#define ARM_REQUEST_BYTES 4u
typedef struct {
    uint32_t duration_ms; /* ms */
} arm_request_t;
static inline void arm_request_unpack(const uint8_t *p, arm_request_t *out) {
    out->duration_ms = get_u32(p + 0);
}

#define ARM_RESPONSE_BYTES 8u
typedef struct {
    uint64_t until_us; /* us */
} arm_response_t;
static inline void arm_response_pack(const arm_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->until_us);
}


/* disarm: Puts every output to its safe value and ends the arming. */

/* safe_clear: Acknowledges the reason of a safe state. It has to be named, so that nobody clears what he has not read. */
#define SAFE_CLEAR_REQUEST_BYTES 1u
typedef struct {
    uint8_t reason;
} safe_clear_request_t;
static inline void safe_clear_request_unpack(const uint8_t *p, safe_clear_request_t *out) {
    out->reason = get_u8(p + 0);
}


/* pulse_read: Applies each pulse in order and reads the cell after it. The whole batch is checked before the first pulse. */
#define PULSE_READ_REQUEST_BYTES 2u
typedef struct {
    uint16_t read_code; /* code */
} pulse_read_request_t;
static inline void pulse_read_request_unpack(const uint8_t *p, pulse_read_request_t *out) {
    out->read_code = get_u16(p + 0);
}

#define PULSE_READ_REQUEST_ENTRY_BYTES 13u
typedef struct {
    uint16_t row;
    uint16_t column;
    uint8_t operation;
    uint16_t gate_code; /* code */
    uint16_t line_code; /* code */
    uint32_t width_ticks; /* ticks of 20 ns */
} pulse_read_request_entry_t;
static inline void pulse_read_request_entry_unpack(const uint8_t *p, pulse_read_request_entry_t *out) {
    out->row = get_u16(p + 0);
    out->column = get_u16(p + 2);
    out->operation = get_u8(p + 4);
    out->gate_code = get_u16(p + 5);
    out->line_code = get_u16(p + 7);
    out->width_ticks = get_u32(p + 9);
}

#define PULSE_READ_RESPONSE_BYTES 8u
typedef struct {
    uint64_t time_us; /* us */
} pulse_read_response_t;
static inline void pulse_read_response_pack(const pulse_read_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->time_us);
}

#define PULSE_READ_RESPONSE_ENTRY_BYTES 2u
typedef struct {
    uint16_t reading; /* code */
} pulse_read_response_entry_t;
static inline void pulse_read_response_entry_pack(const pulse_read_response_entry_t *in, uint8_t *p) {
    put_u16(p + 0, in->reading);
}


/* read: Reads cells at a voltage that changes nothing. */
#define READ_REQUEST_BYTES 3u
typedef struct {
    uint16_t read_code; /* code */
    uint8_t samples;
} read_request_t;
static inline void read_request_unpack(const uint8_t *p, read_request_t *out) {
    out->read_code = get_u16(p + 0);
    out->samples = get_u8(p + 2);
}

#define READ_REQUEST_ENTRY_BYTES 4u
typedef struct {
    uint16_t row;
    uint16_t column;
} read_request_entry_t;
static inline void read_request_entry_unpack(const uint8_t *p, read_request_entry_t *out) {
    out->row = get_u16(p + 0);
    out->column = get_u16(p + 2);
}

#define READ_RESPONSE_BYTES 8u
typedef struct {
    uint64_t time_us; /* us */
} read_response_t;
static inline void read_response_pack(const read_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->time_us);
}

#define READ_RESPONSE_ENTRY_BYTES 4u
typedef struct {
    uint32_t sum; /* code */
} read_response_entry_t;
static inline void read_response_entry_pack(const read_response_entry_t *in, uint8_t *p) {
    put_u32(p + 0, in->sum);
}


/* loopback: Converts a DAC's output, or a tap of the reference ladder, with the array cut off. A code above the read level on a line of the array needs an armed board all the same. */
#define LOOPBACK_REQUEST_BYTES 3u
typedef struct {
    uint8_t source;
    uint8_t destination;
    uint8_t samples;
} loopback_request_t;
static inline void loopback_request_unpack(const uint8_t *p, loopback_request_t *out) {
    out->source = get_u8(p + 0);
    out->destination = get_u8(p + 1);
    out->samples = get_u8(p + 2);
}

#define LOOPBACK_REQUEST_ENTRY_BYTES 2u
typedef struct {
    uint16_t code; /* code */
} loopback_request_entry_t;
static inline void loopback_request_entry_unpack(const uint8_t *p, loopback_request_entry_t *out) {
    out->code = get_u16(p + 0);
}

#define LOOPBACK_RESPONSE_BYTES 8u
typedef struct {
    uint64_t time_us; /* us */
} loopback_response_t;
static inline void loopback_response_pack(const loopback_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->time_us);
}

#define LOOPBACK_RESPONSE_ENTRY_BYTES 4u
typedef struct {
    uint32_t sum; /* code */
} loopback_response_entry_t;
static inline void loopback_response_entry_pack(const loopback_response_entry_t *in, uint8_t *p) {
    put_u32(p + 0, in->sum);
}


/* read_reference: Reads reference resistors in place of cells, each through a column's own read path. */
#define READ_REFERENCE_REQUEST_BYTES 3u
typedef struct {
    uint16_t read_code; /* code */
    uint8_t samples;
} read_reference_request_t;
static inline void read_reference_request_unpack(const uint8_t *p, read_reference_request_t *out) {
    out->read_code = get_u16(p + 0);
    out->samples = get_u8(p + 2);
}

#define READ_REFERENCE_REQUEST_ENTRY_BYTES 3u
typedef struct {
    uint16_t column;
    uint8_t resistor;
} read_reference_request_entry_t;
static inline void read_reference_request_entry_unpack(const uint8_t *p, read_reference_request_entry_t *out) {
    out->column = get_u16(p + 0);
    out->resistor = get_u8(p + 2);
}

#define READ_REFERENCE_RESPONSE_BYTES 8u
typedef struct {
    uint64_t time_us; /* us */
} read_reference_response_t;
static inline void read_reference_response_pack(const read_reference_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->time_us);
}

#define READ_REFERENCE_RESPONSE_ENTRY_BYTES 4u
typedef struct {
    uint32_t sum; /* code */
} read_reference_response_entry_t;
static inline void read_reference_response_entry_pack(const read_reference_response_entry_t *in, uint8_t *p) {
    put_u32(p + 0, in->sum);
}


/* line_check: Drives one line at the read level and converts what comes of it; selects no single cell. Far and near ends are probed with every gate closed, as a position on the span of the line drivers. The current is that of all cells of a bit line with every gate open and the source lines joined, or of all cells of a source line through its own read path, its gates open and every bit line driven. The gates are open as for a read, or at a code of their own. */
#define LINE_CHECK_REQUEST_BYTES 3u
typedef struct {
    uint16_t read_code; /* code */
    uint8_t samples;
} line_check_request_t;
static inline void line_check_request_unpack(const uint8_t *p, line_check_request_t *out) {
    out->read_code = get_u16(p + 0);
    out->samples = get_u8(p + 2);
}

#define LINE_CHECK_REQUEST_ENTRY_BYTES 6u
typedef struct {
    uint8_t driven;
    uint16_t line;
    uint8_t probe;
    uint16_t probed;
} line_check_request_entry_t;
static inline void line_check_request_entry_unpack(const uint8_t *p, line_check_request_entry_t *out) {
    out->driven = get_u8(p + 0);
    out->line = get_u16(p + 1);
    out->probe = get_u8(p + 3);
    out->probed = get_u16(p + 4);
}

#define LINE_CHECK_RESPONSE_BYTES 8u
typedef struct {
    uint64_t time_us; /* us */
} line_check_response_t;
static inline void line_check_response_pack(const line_check_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->time_us);
}

#define LINE_CHECK_RESPONSE_ENTRY_BYTES 4u
typedef struct {
    uint32_t sum; /* code */
} line_check_response_entry_t;
static inline void line_check_response_entry_pack(const line_check_response_entry_t *in, uint8_t *p) {
    put_u32(p + 0, in->sum);
}


/* multiply: Multiplies a block with vectors, at the read level. Each row gets its code, each column is converted. */
#define MULTIPLY_REQUEST_BYTES 10u
typedef struct {
    uint16_t first_row;
    uint16_t first_column;
    uint16_t inputs;
    uint16_t columns;
    uint8_t scale;
    uint8_t samples;
} multiply_request_t;
static inline void multiply_request_unpack(const uint8_t *p, multiply_request_t *out) {
    out->first_row = get_u16(p + 0);
    out->first_column = get_u16(p + 2);
    out->inputs = get_u16(p + 4);
    out->columns = get_u16(p + 6);
    out->scale = get_u8(p + 8);
    out->samples = get_u8(p + 9);
}

#define MULTIPLY_REQUEST_ENTRY_BYTES 2u
typedef struct {
    uint16_t code; /* code */
} multiply_request_entry_t;
static inline void multiply_request_entry_unpack(const uint8_t *p, multiply_request_entry_t *out) {
    out->code = get_u16(p + 0);
}

#define MULTIPLY_RESPONSE_BYTES 8u
typedef struct {
    uint64_t time_us; /* us */
} multiply_response_t;
static inline void multiply_response_pack(const multiply_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->time_us);
}

#define MULTIPLY_RESPONSE_ENTRY_BYTES 2u
typedef struct {
    uint16_t sum; /* code */
} multiply_response_entry_t;
static inline void multiply_response_entry_pack(const multiply_response_entry_t *in, uint8_t *p) {
    put_u16(p + 0, in->sum);
}


/* wave_begin: Empties the waveform store and fixes its length and tick. */
#define WAVE_BEGIN_REQUEST_BYTES 6u
typedef struct {
    uint16_t ticks; /* ticks */
    uint32_t tick_us; /* us */
} wave_begin_request_t;
static inline void wave_begin_request_unpack(const uint8_t *p, wave_begin_request_t *out) {
    out->ticks = get_u16(p + 0);
    out->tick_us = get_u32(p + 2);
}


/* wave_load: Stores consecutive ticks of the waveforms. Bipolar codes, 2048 is zero. */
#define WAVE_LOAD_REQUEST_BYTES 2u
typedef struct {
    uint16_t first;
} wave_load_request_t;
static inline void wave_load_request_unpack(const uint8_t *p, wave_load_request_t *out) {
    out->first = get_u16(p + 0);
}

#define WAVE_LOAD_REQUEST_ENTRY_BYTES 38u
typedef struct {
    uint16_t drift; /* code */
    uint16_t score; /* code */
    uint16_t noise; /* code */
    uint16_t offset[2]; /* code */
    uint16_t embedding[14]; /* code */
} wave_load_request_entry_t;
static inline void wave_load_request_entry_unpack(const uint8_t *p, wave_load_request_entry_t *out) {
    out->drift = get_u16(p + 0);
    out->score = get_u16(p + 2);
    out->noise = get_u16(p + 4);
    for (size_t i = 0; i < 2; i++) { out->offset[i] = get_u16(p + 6 + i * 2); }
    for (size_t i = 0; i < 14; i++) { out->embedding[i] = get_u16(p + 10 + i * 2); }
}


/* wave_class: Offsets of one class, added to the 14 embedding codes of every tick. */
#define WAVE_CLASS_REQUEST_BYTES 28u
typedef struct {
    int16_t offset[14]; /* code */
} wave_class_request_t;
static inline void wave_class_request_unpack(const uint8_t *p, wave_class_request_t *out) {
    for (size_t i = 0; i < 14; i++) { out->offset[i] = (int16_t)get_u16(p + 0 + i * 2); }
}


/* wave_commit: Declares the waveforms complete. The CRC is that of the records as sent, tick by tick, then the class offsets. */
#define WAVE_COMMIT_REQUEST_BYTES 4u
typedef struct {
    uint32_t crc;
} wave_commit_request_t;
static inline void wave_commit_request_unpack(const uint8_t *p, wave_commit_request_t *out) {
    out->crc = get_u32(p + 0);
}


/* loop_layer: Connects a block of the array as one layer of the loop. */
#define LOOP_LAYER_REQUEST_BYTES 14u
typedef struct {
    uint8_t layer;
    uint16_t first_row;
    uint16_t first_column;
    uint16_t inputs;
    uint16_t outputs;
    uint8_t differential;
    uint16_t feedback_code; /* code */
    uint16_t reference_code; /* code */
} loop_layer_request_t;
static inline void loop_layer_request_unpack(const uint8_t *p, loop_layer_request_t *out) {
    out->layer = get_u8(p + 0);
    out->first_row = get_u16(p + 1);
    out->first_column = get_u16(p + 3);
    out->inputs = get_u16(p + 5);
    out->outputs = get_u16(p + 7);
    out->differential = get_u8(p + 9);
    out->feedback_code = get_u16(p + 10);
    out->reference_code = get_u16(p + 12);
}


/* initial: Stores initial conditions of the two integrators. */
#define INITIAL_REQUEST_BYTES 2u
typedef struct {
    uint16_t first;
} initial_request_t;
static inline void initial_request_unpack(const uint8_t *p, initial_request_t *out) {
    out->first = get_u16(p + 0);
}

#define INITIAL_REQUEST_ENTRY_BYTES 4u
typedef struct {
    uint16_t x[2]; /* code */
} initial_request_entry_t;
static inline void initial_request_entry_unpack(const uint8_t *p, initial_request_entry_t *out) {
    for (size_t i = 0; i < 2; i++) { out->x[i] = get_u16(p + 0 + i * 2); }
}


/* probe: Reads every layer's outputs. The integrators are held at x and the embedding of one tick is driven. */
#define PROBE_REQUEST_BYTES 7u
typedef struct {
    uint16_t tick;
    uint16_t x[2]; /* code */
    uint8_t samples;
} probe_request_t;
static inline void probe_request_unpack(const uint8_t *p, probe_request_t *out) {
    out->tick = get_u16(p + 0);
    for (size_t i = 0; i < 2; i++) { out->x[i] = get_u16(p + 2 + i * 2); }
    out->samples = get_u8(p + 6);
}

#define PROBE_RESPONSE_ENTRY_BYTES 4u
typedef struct {
    uint32_t sum; /* code */
} probe_response_entry_t;
static inline void probe_response_entry_pack(const probe_response_entry_t *in, uint8_t *p) {
    put_u32(p + 0, in->sum);
}


/* run: Starts solving; answers at once. Progress is polled. */
#define RUN_REQUEST_BYTES 25u
typedef struct {
    uint16_t run_id;
    uint16_t first;
    uint16_t count;
    uint16_t capture_tick; /* ticks */
    uint8_t noise;
    uint64_t seed;
    uint32_t trajectory;
    uint16_t trace_every; /* ticks */
    uint16_t trace_count;
} run_request_t;
static inline void run_request_unpack(const uint8_t *p, run_request_t *out) {
    out->run_id = get_u16(p + 0);
    out->first = get_u16(p + 2);
    out->count = get_u16(p + 4);
    out->capture_tick = get_u16(p + 6);
    out->noise = get_u8(p + 8);
    out->seed = get_u64(p + 9);
    out->trajectory = get_u32(p + 17);
    out->trace_every = get_u16(p + 21);
    out->trace_count = get_u16(p + 23);
}

#define RUN_RESPONSE_BYTES 8u
typedef struct {
    uint64_t duration_us; /* us */
} run_response_t;
static inline void run_response_pack(const run_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->duration_us);
}


/* progress: How far the run is. On a simulated board a poll lets the solves go on. */
#define PROGRESS_RESPONSE_BYTES 13u
typedef struct {
    uint64_t time_us; /* us */
    uint16_t run_id;
    uint8_t run_state;
    uint16_t done;
} progress_response_t;
static inline void progress_response_pack(const progress_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->time_us);
    put_u16(p + 8, in->run_id);
    put_u8(p + 10, in->run_state);
    put_u16(p + 11, in->done);
}


/* samples: Fetches captured outputs. */
#define SAMPLES_REQUEST_BYTES 3u
typedef struct {
    uint16_t first;
    uint8_t count;
} samples_request_t;
static inline void samples_request_unpack(const uint8_t *p, samples_request_t *out) {
    out->first = get_u16(p + 0);
    out->count = get_u8(p + 2);
}

#define SAMPLES_RESPONSE_ENTRY_BYTES 4u
typedef struct {
    uint16_t x[2]; /* code */
} samples_response_entry_t;
static inline void samples_response_entry_pack(const samples_response_entry_t *in, uint8_t *p) {
    for (size_t i = 0; i < 2; i++) { put_u16(p + 0 + i * 2, in->x[i]); }
}


/* trace: Fetches points of a captured trajectory. Point 0 is the initial condition as it was converted. */
#define TRACE_REQUEST_BYTES 5u
typedef struct {
    uint16_t trajectory;
    uint16_t first;
    uint8_t count;
} trace_request_t;
static inline void trace_request_unpack(const uint8_t *p, trace_request_t *out) {
    out->trajectory = get_u16(p + 0);
    out->first = get_u16(p + 2);
    out->count = get_u8(p + 4);
}

#define TRACE_RESPONSE_ENTRY_BYTES 4u
typedef struct {
    uint16_t x[2]; /* code */
} trace_response_entry_t;
static inline void trace_response_entry_pack(const trace_response_entry_t *in, uint8_t *p) {
    for (size_t i = 0; i < 2; i++) { put_u16(p + 0 + i * 2, in->x[i]); }
}


/* advance: Lets virtual time pass. Only a simulated board can do that. */
#define ADVANCE_REQUEST_BYTES 8u
typedef struct {
    uint64_t duration_us; /* us */
} advance_request_t;
static inline void advance_request_unpack(const uint8_t *p, advance_request_t *out) {
    out->duration_us = get_u64(p + 0);
}

#define ADVANCE_RESPONSE_BYTES 8u
typedef struct {
    uint64_t time_us; /* us */
} advance_response_t;
static inline void advance_response_pack(const advance_response_t *in, uint8_t *p) {
    put_u64(p + 0, in->time_us);
}


#endif
