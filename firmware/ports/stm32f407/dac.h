/* The quad 12-bit DACs (MAX5742). On the reference board two hardware SPIs drive them; DACs that
 * share one get the same word at the same time, different words one after the other. On the
 * published pins they are bit-banged side by side: every one of a set gets its word at the same
 * time, because each has its own three lines. */
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

/* The words of a tick into the input registers. */
void dac_load_tick(const uint16_t words[WORD_COUNT]);

/* All loaded words to the outputs: one word to all of them. The DACs have no common latch line; on
 * one SPI their selects are let go by one write, bit-banged by one write per port. */
void dac_update_tick(void);

/* Outputs of the pulse path to 0, those of the loop to the middle of their range. */
void dac_safe(void);

#endif
