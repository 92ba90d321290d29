/* The DACs of the bit lines, for products: bipolar, one for each row, all on one hardware SPI.
 * Which of them listens is the row of the select bus. */
#ifndef ROWS_H
#define ROWS_H

#include <stdint.h>

/* All rows at zero volts. */
void rows_init(void);

/* Codes for `count` rows from `first` on, to all outputs at once; the other rows at zero volts. */
void rows_load(uint16_t first, const uint16_t *codes, uint16_t count);

/* All rows to zero volts, at once. */
void rows_clear(void);

#endif
