/* The board as the portable core sees it. Each port implements these functions once; no other
 * function of the core knows what it runs on.
 *
 * Times are nanoseconds since power-up. A function that can fail returns a fault number, 0 for
 * none.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capacity.h"

struct fw;
typedef struct board board_t;

enum {
    FAULT_NONE = 0,
    FAULT_LINE = 1,   /* the front end does not answer or answers nonsense */
    FAULT_ADC = 2,    /* a conversion did not end */
    FAULT_PULSE = 3,  /* a pulse did not end by itself; the outputs were switched off */
    FAULT_RANDOM = 4, /* the random generator failed its health check */
};

typedef struct {
    uint8_t port; /* PORT_... */
    uint64_t serial;
    uint8_t build[16];
} board_identity_t;

typedef struct {
    uint16_t row;
    uint16_t column;
    uint8_t operation; /* OPERATION_... */
    uint16_t gate_code;
    uint16_t line_code;
    uint32_t width_ticks;
} board_pulse_t;

typedef struct {
    uint16_t row;
    uint16_t column;
} board_cell_t;

typedef struct {
    uint16_t column;
    uint8_t resistor; /* 0: nothing connected */
} board_reference_t;

/* One line of the array that is driven, and what is converted meanwhile. */
typedef struct {
    uint8_t driven; /* ARRAY_LINE_... */
    uint8_t probe;  /* LINE_PROBE_... */
    uint16_t line;
    uint16_t probed; /* line whose far end it is; code of the gates of a current, 0: as for reads */
} board_line_t;

/* One loop-back: what is converted by which input, and how often. */
typedef struct {
    uint8_t source;      /* LOOP_SOURCE_... */
    uint8_t destination; /* ADC_INPUT_... */
    uint8_t samples;
} board_loopback_t;

/* A block of the array whose rows are driven and whose columns are converted. */
typedef struct {
    uint16_t first_row;
    uint16_t first_column;
    uint16_t inputs;  /* rows */
    uint16_t columns; /* as many conversions, each of `samples` */
    uint8_t scale;    /* full scale: that of the reads, doubled so often */
    uint8_t samples;
} board_block_t;

/* A block of the array as one layer of the loop. */
typedef struct {
    uint16_t first_row;
    uint16_t first_column;
    uint16_t inputs;
    uint16_t outputs;
    uint8_t differential;
    uint16_t feedback_code;
    uint16_t reference_code;
} board_layer_t;

typedef struct {
    const board_layer_t *layers; /* FW_LAYERS */
    uint16_t run_id;
    uint16_t count; /* trajectories */
    uint16_t capture_tick;
    uint32_t tick_us;
    uint8_t noise; /* NOISE_... */
    uint64_t seed;
} board_run_t;

/* Which draw of a run's noise is asked for. A board with its own random source does not look. */
typedef struct {
    uint32_t trajectory;
    uint32_t tick;
} board_draw_t;

void board_identity(board_t *board, board_identity_t *identity);
uint64_t board_time_ns(board_t *board);

/* The line. `board_frame` tells a board of virtual time that a request or answer with this payload
 * has passed. */
void board_send(board_t *board, const uint8_t *frame, size_t length);
void board_frame(board_t *board, size_t payload_bytes);

/* Virtual time. `board_advance_left_us` is how much more may pass, negative where time is real. */
int64_t board_advance_left_us(board_t *board);
void board_advance(board_t *board, uint64_t duration_ns);

/* Safety. Every output to its safe value, now; allowed in any state and from any context. */
void board_safe(board_t *board);
bool board_interlock_closed(board_t *board);

/* Keeps interrupts of the sequencer out while the core changes what they look at. */
uint32_t board_lock(board_t *board);
void board_unlock(board_t *board, uint32_t state);

/* The array. `board_batch` is how many entries one call may have; between calls a stop can come. */
uint16_t board_batch(board_t *board);
uint16_t board_pulse_read(board_t *board, const board_pulse_t *pulses, uint16_t count,
                          uint16_t read_code, uint16_t *readings);
uint16_t board_read(board_t *board, const board_cell_t *cells, uint16_t count, uint16_t read_code,
                    uint8_t samples, uint32_t *sums);
uint16_t board_loopback(board_t *board, const board_loopback_t *loopback, const uint16_t *codes,
                        uint16_t count, uint32_t *sums);
uint16_t board_read_reference(board_t *board, const board_reference_t *references, uint16_t count,
                              uint16_t read_code, uint8_t samples, uint32_t *sums);
uint16_t board_line_check(board_t *board, const board_line_t *lines, uint16_t count,
                          uint16_t read_code, uint8_t samples, uint32_t *sums);
/* `codes` has `inputs` for each vector, `sums` gets `columns` for each. */
uint16_t board_multiply(board_t *board, const board_block_t *block, const uint16_t *codes,
                        uint16_t vectors, uint16_t *sums);
uint16_t board_probe(board_t *board, const board_layer_t *layers, const uint16_t x[2],
                     const uint16_t *embedding, uint8_t samples, uint32_t sums[FW_PROBES]);

/* A run, trajectory by trajectory:
 *
 *   board_run_begin   connects the layers; then sequencer_prepare is to be called
 *   board_preset      integrators to x, held, words of no tick in force
 *   board_load        words into the input registers, outputs as before
 *   board_start       timer on: sequencer_tick at the end of the settling time, then every tick
 *   board_update      loaded words to the outputs; the first one lets the integrators go
 *   board_hold        integrators held, timer off
 *   board_convert     both integrators, as they are now
 *   board_run_end     everything of the loop to its safe value
 *
 * board_prepare_soon asks the port to call sequencer_prepare outside the tick's interrupt. */
uint16_t board_run_begin(board_t *board, const board_run_t *run);
uint16_t board_preset(board_t *board, uint32_t trajectory, const uint16_t x[2]);
void board_load(board_t *board, const uint16_t words[WORD_COUNT]);
void board_start(board_t *board);
void board_update(board_t *board, uint16_t tick);
void board_hold(board_t *board, uint16_t tick);
uint16_t board_convert(board_t *board, uint16_t tick, uint16_t x[2]);
void board_run_end(board_t *board);
void board_prepare_soon(board_t *board);

/* Lets solves go on where time is virtual; nothing where a timer does it. */
void board_poll_run(board_t *board, struct fw *fw);

/* The board's own noise. */
bool board_random_ready(board_t *board);
uint16_t board_random(board_t *board, const board_draw_t *draw, uint32_t words[4]);

#endif
