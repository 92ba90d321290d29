/* The quad 12-bit DACs (MAX5742). Where a DAC stands on the pins of a hardware SPI and the table
 * says so, that SPI drives it; the others are bit-banged side by side: every one of a set gets its
 * word at the same time, because each has its own three lines. */
#ifndef DAC_H
#define DAC_H

#include <stdint.h>

#include "board.h"
#include "pins.h"

/* Outputs on, all at their safe values. */
void dac_init(void);

/* Sends each DAC of the set its word. */
void dac_send(uint16_t set, const uint16_t words[DAC_COUNT]);

/* One channel, to its output at once. */
void dac_write(dac_channel_t where, uint16_t code);

/* One of the words of a tick, to its output at once. */
void dac_write_word(uint8_t word, uint16_t code);

/* The words of a tick into the input registers: four words side by side on five DACs. */
void dac_load_tick(const uint16_t words[WORD_COUNT]);

/* All loaded words to the outputs: one word, side by side. The DACs have no common latch line; what
 * is left between them is the time from one port's write to the next. */
void dac_update_tick(void);

/* Outputs of the pulse path to 0, those of the loop to the middle of their range. */
void dac_safe(void);

#endif
